"""Killed at random moments, the same command then does what it would have done."""

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.endings import checksum
from tests.faults.moments import has_workers, kill, there
from tests.helpers.commands import TINY, TINY_CLI, run


def test_fit(kept: Path, tmp_path: Path) -> None:
    first = (*TINY, f"data.root={kept}/data", "hydra.run.dir=run")
    for seed in range(3):
        begun = (tmp_path / "run" / ".hydra" / "config.yaml").is_file()
        arguments = ("resume=run",) if begun else first
        kill("lgad-fit", *arguments, folder=tmp_path, sign=there(tmp_path, "run/.hydra"), seed=seed, within=4)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    run("lgad-fit", "resume=moved", folder=tmp_path)
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "moved", kept / "run"))
    assert ours == theirs


def test_cli(kept: Path, tmp_path: Path) -> None:
    call = (
        "fit",
        "--config=culane_erfnet_teacher.yaml",
        f"--data.root={kept}/data",
        *TINY_CLI,
        "--trainer.max_epochs=1",
    )
    made = tmp_path / "outputs" / "culane_erfnet_teacher" / "teacher.ckpt"
    for seed in range(2):
        kill("lgad-cli", *call, folder=tmp_path, sign=there(tmp_path, "outputs/*"), seed=seed, within=2)
        made.unlink(missing_ok=True)
    run("lgad-cli", *call, folder=tmp_path)
    assert made.is_file()


def test_synth(kept: Path, tmp_path: Path) -> None:
    call = ("synth", "data", "--train=16", "--val=4", "--test=9", "--size=410x148", "--workers=1")
    for seed in range(3):
        kill("lgad-data", *call, folder=tmp_path, sign=has_workers, seed=seed, within=0.2)
    run("lgad-data", *call, folder=tmp_path)
    assert checksum(tmp_path / "data") == checksum(kept / "data")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("command", ["check", "stats"])
def test_check_and_stats(command: str, kept: Path, tmp_path: Path) -> None:
    call = (command, f"{kept}/data", "--workers=1", "--json")
    for seed in range(2):
        kill("lgad-data", *call, "a.json", folder=tmp_path, sign=has_workers, seed=seed, within=0.2)
    run("lgad-data", *call, "a.json", folder=tmp_path)
    run("lgad-data", *call, "b.json", folder=tmp_path)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_preview(kept: Path, tmp_path: Path) -> None:
    call = ("preview", f"{kept}/data", "--images=9", "--split=test")
    kill("lgad-data", *call, folder=tmp_path, sign=lambda process: True, seed=0, within=6)
    run("lgad-data", *call, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["preview.png"]


@pytest.mark.zoo
def test_pack(kept_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="pack needs litdata (the extra stream)")
    call = ("pack", f"{kept_data}", "out", "--workers=1")
    for seed in range(3):
        if not (tmp_path / "out").exists():  # which a kill may find finished
            kill("lgad-data", *call, folder=tmp_path, sign=has_workers, seed=seed, within=0.2)
    if not (tmp_path / "out").exists():
        run("lgad-data", *call, folder=tmp_path)
    run("lgad-data", "check", "out", folder=tmp_path)


def test_eval(kept: Path, tmp_path: Path) -> None:
    call = ("culane", f"--pred={kept}/run/predictions", f"--data={kept}/data", "--workers=2", "--json=a.json")
    for seed in range(2):
        kill("lgad-eval", *call, folder=tmp_path, sign=has_workers, seed=seed, within=0.2)
    run("lgad-eval", *call, folder=tmp_path)
    assert json.loads((tmp_path / "a.json").read_text())["scenarios"]
