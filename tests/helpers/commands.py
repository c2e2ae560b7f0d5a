"""Runs the package's console scripts as a user does, on a data set so small that a run takes seconds."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lgad_lightning.commands.configs import CLI_CONFIG_DIR

SCRIPTS = Path(sys.executable).parent

TINY_DATA = ("data.train=16", "data.val=4", "data.test=9", "data.image_size=[148,410]")
TINY = (
    *TINY_DATA,
    "data.input_size=[32,96]",
    "data.crop_top=48",
    "data.batch_size=4",
    "data.num_workers=0",
    "network.channels=[8,16,24]",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "teacher.trainer.max_epochs=2",
)


def environment(folder: Path) -> dict[str, str]:
    """One thread a process, and caches in a folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"OMP_NUM_THREADS": "1", "LGAD_CACHE": str(folder / "cache"), "NETRC": str(folder / "netrc")}
    return kept | own | {"COLUMNS": "160"}


def heed_interrupts() -> None:
    """Undoes what a shell does to the commands that it runs in the background: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(name: str, *arguments: str, folder: Path, new_group: bool = False) -> "subprocess.Popen[str]":
    """Starts a console script in a folder; in a group of processes of its own, to be interrupted as one."""
    return subprocess.Popen(
        [str(SCRIPTS / name), *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
        start_new_session=new_group,
    )


def run(name: str, *arguments: str, folder: Path, fails: bool = False) -> "subprocess.CompletedProcess[str]":
    """Runs a console script in a folder and checks its exit code."""
    process = start(name, *arguments, folder=folder)
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode != 0) == fails, f"exit code {process.returncode}\n{stdout}\n{stderr}"
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def cli_config(name: str) -> dict[str, Any]:
    """A configuration for lgad-cli that ships with the package, with its data's file put in."""
    config: dict[str, Any] = yaml.safe_load((CLI_CONFIG_DIR / name).read_text())
    config["data"] = yaml.safe_load((CLI_CONFIG_DIR / config["data"]).read_text())
    return config
