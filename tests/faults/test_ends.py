"""How `lgad-fit` ends when it is killed, when the disk is full, and on hostile files."""

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.faults.test_settings import checksum
from tests.helpers.commands import SCRIPTS, TINY, environment, run, start

pytestmark = pytest.mark.faults

ENDLESS = (*TINY, "trainer.max_epochs=1000", "distillation=none", "hydra.run.dir=run")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated data set, which stays as it is."""
    root = tmp_path_factory.mktemp("data") / "roads"
    run("lgad-data", "synth", str(root), "--train=16", "--val=4", "--test=9", "--size=410x148", folder=root.parent)
    return root


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_kill_costs_nothing(root: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    before = checksum(root)
    process = start("lgad-fit", *ENDLESS, f"data.root={root}", folder=tmp_path)
    while not (tmp_path / "run" / "student" / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stdout + stderr
    if number != signal.SIGKILL:
        assert stdout.rstrip().endswith(f"lgad-fit resume={tmp_path / 'run'}")
    torch.load(tmp_path / "run" / "student" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checksum(root) == before


def test_a_full_disk_leaves_no_half_checkpoint(root: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    result = subprocess.run(
        [str(SCRIPTS / "lgad-fit"), *ENDLESS, f"data.root={root}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        preexec_fn=small_files,
        check=False,
        timeout=300,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert "cannot be written" in result.stderr
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(100), [1, 2], {"state_dict": {"x": 1}}]
)
def test_a_teacher_that_is_none(root: Path, tmp_path: Path, content: object) -> None:
    path = tmp_path / "teacher.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    before = path.read_bytes()
    failed = run("lgad-fit", *TINY, f"data.root={root}", f"teacher.checkpoint={path}", folder=tmp_path, fails=True)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr + failed.stdout
    assert "Teacher: loaded" not in failed.stdout
    assert "is no checkpoint of a training" in failed.stderr.splitlines()[-1]
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[1", b"\xff\xfe\x00", b"seed: ${"])
def test_a_run_whose_configuration_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "it's" / ".hydra").mkdir(parents=True)
    (tmp_path / "it's" / ".hydra" / "config.yaml").write_bytes(content)
    before = checksum(tmp_path / "it's" / ".hydra")
    failed = run("lgad-fit", "resume=it's", folder=tmp_path, fails=True)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr + failed.stdout
    assert "cannot be read" in failed.stderr
    assert checksum(tmp_path / "it's" / ".hydra") == before
