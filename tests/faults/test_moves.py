"""What was moved or copied is used where it lies now, and nothing is looked for where it lay."""

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.endings import checksum
from tests.helpers.commands import TINY_CLI, run


@pytest.fixture
def copied(kept: Path, tmp_path: Path) -> Path:
    """The user's things, in a place of another name."""
    return Path(shutil.copytree(kept, tmp_path / "moved here"))


def test_fit_tests_the_copy(copied: Path, kept: Path) -> None:
    best = Path("student", "checkpoints", "best.ckpt")
    (copied / "run" / best).unlink()
    (copied / "run" / best).symlink_to(copied / "best.ckpt")
    shutil.copy(kept / "run" / best, copied / "best.ckpt")
    run("lgad-fit", "resume=moved here/run", folder=copied.parent)
    ours, theirs = (json.loads((folder / "run" / "metrics.json").read_text()) for folder in (copied, kept))
    assert ours == theirs


def test_cli_goes_on_and_tests_where_it_was_moved(copied: Path, tmp_path: Path) -> None:
    call = ("--config=culane_erfnet_teacher.yaml", f"--data.root={copied}/data", *TINY_CLI)
    run("lgad-cli", "fit", *call, "--trainer.max_epochs=1", folder=tmp_path)
    shutil.move(tmp_path / "outputs", tmp_path / "elsewhere")
    checkpoint = f"--ckpt_path={tmp_path}/elsewhere/culane_erfnet_teacher/teacher.ckpt"
    run("lgad-cli", "validate", *call, checkpoint, folder=tmp_path)
    run("lgad-cli", "fit", *call, checkpoint, "--trainer.max_epochs=2", folder=tmp_path)


def test_data_is_complete_where_it_was_moved(copied: Path, tmp_path: Path) -> None:
    before = checksum(copied)
    synth = ("synth", f"{copied}/data", "--train=16", "--val=4", "--test=9", "--size=410x148")
    for call in (
        synth,
        ("check", f"{copied}/data"),
        ("stats", f"{copied}/own", "--slots=4"),
        ("preview", f"{copied}/data"),
    ):
        run("lgad-data", *call, folder=tmp_path)
    assert checksum(copied) == before


def test_eval_gives_the_same_figures(copied: Path, kept: Path, tmp_path: Path) -> None:
    for root, out in ((kept, "a.json"), (copied, "b.json")):
        data = (f"--pred={root}/run/predictions", f"--data={root}/data")
        run("lgad-eval", "culane", *data, f"--json={out}", folder=tmp_path)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
