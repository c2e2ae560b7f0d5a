"""Ctrl-C ends a command in one line, which says how to go on, with exit code 130."""

import signal
from pathlib import Path

import pytest

from tests.faults.moments import cut_short, has_workers, imports, interrupt, there
from tests.helpers.commands import TINY, TINY_CLI, run

GO_ON = "lgad-data: interrupted; the same command goes on from here."


@pytest.mark.parametrize("command", ["fit", "cli"])
def test_start(command: str, tmp_path: Path) -> None:
    end = cut_short(f"lgad-{command}", ["--help"], tmp_path, imports, 0, signal.SIGINT, warm=False)
    assert end == (-signal.SIGINT, "", "")


@pytest.fixture
def long_list(kept_data: Path, tmp_path: Path) -> Path:
    """The user's data set, with lists that name its images very often."""
    folder = tmp_path / "long"
    (folder / "list").mkdir(parents=True)
    for path in kept_data.iterdir():
        if path.is_dir() and path.name != "list":
            (folder / path.name).symlink_to(path)
    for path in (kept_data / "list").glob("*.txt"):
        (folder / "list" / path.name).write_text(path.read_text() * 2000)
    return folder


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.5])
def test_generation(delay: float, tmp_path: Path) -> None:
    call = ("synth", "roads", "--train=9000", "--workers=2")
    interrupt("lgad-data", *call, folder=tmp_path, sign=has_workers, delay=delay, hint=GO_ON)


@pytest.mark.parametrize("command", ["check", "stats", pytest.param("pack", marks=pytest.mark.zoo)])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_work_on_a_data_set(command: str, delay: float, long_list: Path, tmp_path: Path) -> None:
    out = ["out"] if command == "pack" else []
    if command == "pack":
        pytest.importorskip("litdata", reason="pack needs litdata (the extra stream)")
    call = (command, str(long_list), *out, "--workers=2")
    interrupt("lgad-data", *call, folder=tmp_path, sign=has_workers, delay=delay, hint=GO_ON)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.5])
def test_evaluation(delay: float, kept: Path, long_list: Path, tmp_path: Path) -> None:
    lists = ("--list", f"{long_list}/list/test.txt", "--workers=2")
    call = ("culane", f"--pred={kept}/run/predictions", f"--data={kept}/data", *lists)
    interrupt("lgad-eval", *call, folder=tmp_path, sign=has_workers, delay=delay, hint="lgad-eval: interrupted")


def test_generation_for_a_training(tmp_path: Path) -> None:
    call = ("data.train=9000", "data.root=roads")
    interrupt("lgad-fit", *call, folder=tmp_path, sign=has_workers, delay=0.2, hint="Interrupted. No run was begun")


@pytest.mark.parametrize("workers", [0, 2])
def test_training(workers: int, kept: Path, tmp_path: Path) -> None:
    call = (*TINY, f"data.root={kept}/data", f"data.num_workers={workers}", "trainer.max_epochs=1000")
    written = there(tmp_path, "run/student/checkpoints/last.ckpt")
    hint = f"Interrupted. To go on: lgad-fit resume={tmp_path}/run"
    interrupt("lgad-fit", *call, "hydra.run.dir=run", folder=tmp_path, sign=written, delay=0.1, hint=hint)
    assert not list(tmp_path.rglob("*.part"))


def test_reporting(kept: Path, tmp_path: Path) -> None:
    call = (*TINY, f"data.root={kept}/data", "distillation=none", "trainer.max_epochs=1", "hydra.run.dir=run")
    hint = f"Interrupted. To go on: lgad-fit resume={tmp_path}/run"
    interrupt("lgad-fit", *call, folder=tmp_path, sign=there(tmp_path, "run/pictures/test.png"), hint=hint)
    assert "To go on" not in run("lgad-fit", "resume=run", folder=tmp_path).stdout


def test_cli(kept: Path, tmp_path: Path) -> None:
    call = ("fit", "--config=culane_erfnet_teacher.yaml", f"--data.root={kept}/data", *TINY_CLI)
    written = there(tmp_path, "outputs/*/teacher.ckpt")
    hint = "lgad-cli: interrupted. To go on: the same command with --ckpt_path"
    interrupt("lgad-cli", *call, "--trainer.max_epochs=1000", folder=tmp_path, sign=written, hint=hint)
