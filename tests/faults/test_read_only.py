"""Folders that cannot be written to: what lies there can be used, and what is to go there is refused in a few words."""

from pathlib import Path

import pytest

from tests.faults.endings import ended, told
from tests.helpers.commands import TINY, TINY_CLI, run
from tests.helpers.in_one_process import run_each


def test_fit_reads_data_and_does_without_caches(read_only: Path, tmp_path: Path) -> None:
    caches = (f"teacher.cache_dir={read_only}/cache", f"data.label_cache={read_only}/cache")
    end = run("lgad-fit", *TINY, f"data.root={read_only}/data", *caches, "trainer.max_epochs=1", folder=tmp_path)
    assert "The teacher is not kept" in end.stdout
    assert "label cache" in end.stdout


def test_the_others_read_data_and_do_without_caches(read_only: Path, tmp_path: Path) -> None:
    sheet, figures = tmp_path / "sheet.png", tmp_path / "figures.json"
    for call in (("check",), ("stats",), ("preview", f"--out={sheet}")):
        run("lgad-data", *call, f"{read_only}/data", folder=read_only)  # where the cache would be, too
    data = (f"--pred={read_only}/run/predictions", f"--data={read_only}/data")
    run("lgad-eval", "culane", *data, f"--json={figures}", folder=read_only)
    assert sheet.is_file()
    assert figures.is_file()


_FIT = f"{' '.join(TINY)} data.root=RO/data"
_CLI = f"fit --config=culane_erfnet_teacher.yaml --data.root=RO/data {' '.join(TINY_CLI)} --trainer.max_epochs=1"
_CHECKPOINT = "lightning.pytorch.callbacks.ModelCheckpoint"
_EVAL = "culane --pred=RO/run/predictions --data=RO/data"
REFUSED = {
    "fit": (
        (f"{_FIT} hydra.run.dir=RO/new", "hydra.run.dir"),
        (f"{_FIT} hydra.run.dir=RO/own", "cannot be written"),
        (f"{_FIT} data.root=RO/new", "cannot be written"),
        (f"{_FIT} student.callbacks.predictions.folder=RO/new", "cannot be written"),
        ("resume=RO/run", "cannot be written"),
    ),
    "cli": (
        (f"{_CLI} --trainer.default_root_dir=RO/new", "RO/new"),
        (f"{_CLI} --trainer.callbacks={_CHECKPOINT} --trainer.callbacks.dirpath=RO/new", "RO/new"),
    ),
    "data": (
        ("synth RO/new", "cannot be written"),
        ("synth RO/new/er", "cannot be written"),
        ("check RO/data --json=RO/x.json", "cannot be written"),
        ("stats RO/data --json=RO/x.json", "cannot be written"),
        ("stats RO/data --picture=RO/x.png", "cannot be written"),
        ("preview RO/data --out=RO/x.png", "cannot be written"),
    ),
    "evaluate": ((f"{_EVAL} --json=RO/x", "cannot be written"), (f"{_EVAL} --per-image=RO/x", "cannot be written")),
}


@pytest.mark.parametrize("command", REFUSED)
def test_nothing_is_written(command: str, read_only: Path, tmp_path: Path) -> None:
    calls = [[word.replace("RO", str(read_only)) for word in call.split()] for call, _ in REFUSED[command]]
    ends = run_each(f"lgad_lightning.commands.{command}", calls, tmp_path)
    told(calls, ends, [word.replace("RO", str(read_only)) for _, word in REFUSED[command]])


def test_fit_in_a_folder_that_is_read_only(read_only: Path) -> None:
    told(["lgad-fit"], [ended("lgad-fit", *TINY, f"data.root={read_only}/data", folder=read_only)], ["hydra.run.dir"])
