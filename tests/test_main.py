"""`python -m lgad_lightning`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lgad_lightning import __version__
from tests.helpers.commands import TINY, environment, run


def run_module(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lgad_lightning", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", ["fit", "cli", "data", "eval", "predict", "export", "report"])
def test_every_command_says_its_version(command: str, tmp_path: Path) -> None:
    told = run(f"lgad-{command}", "--version", folder=tmp_path, warm=False).stdout
    assert told == f"lgad-{command} {__version__}\n"


def test_a_command_of_the_module_says_the_same_version(tmp_path: Path) -> None:
    assert run_module("data", "--version", folder=tmp_path).stdout == f"lgad-data {__version__}\n"


def test_runs_commands_and_knows_no_others(tmp_path: Path) -> None:
    assert "lgad-eval" in run_module("eval", "--help", folder=tmp_path).stdout
    unknown = run_module("evaluate", folder=tmp_path)
    assert unknown.returncode == 1
    assert "fit,cli,data,eval,predict,export" in unknown.stderr


def test_says_its_own_version(tmp_path: Path) -> None:
    told = run_module("--version", folder=tmp_path)
    assert (told.returncode, told.stdout) == (0, f"lgad-lightning {__version__}\n")


@pytest.mark.slow
def test_trains_on_two_processes(tiny_root: Path, tmp_path: Path) -> None:
    arguments = (*TINY, "trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=2", "distillation=none")
    arguments += ("trainer.max_epochs=1",)
    result = run_module("fit", *arguments, f"data.root={tiny_root}", "hydra.run.dir=run", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "f1" in json.loads((tmp_path / "run" / "metrics.json").read_text())["total"]
