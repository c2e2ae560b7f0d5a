"""Runs the package's console scripts as a user does, on a data set so small that a run takes seconds."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Union

import yaml

from lgad_lightning.commands.configs import CLI_CONFIG_DIR
from tests.helpers.warm import Warm

SCRIPTS = Path(sys.executable).parent

Running = Union["subprocess.Popen[str]", Warm]

TINY_DATA = ("data.train=16", "data.val=4", "data.test=9", "data.image_size=[148,410]")
TINY = (
    *TINY_DATA,
    "report=false",  # seconds for each run
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

TINY_CLI = (
    "--model.network.init_args.channels=[8,16,24]",
    "--model.network.init_args.input_size=[32,96]",
    "--data.input_size=[32,96]",
    "--data.crop_top=48",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
)
"""Arguments that make the shipped configurations of `lgad-cli` small."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def environment(folder: Path) -> dict[str, str]:
    """One thread a process, and caches in a folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"OMP_NUM_THREADS": "1", "LGAD_CACHE": str(folder / "cache"), "NETRC": str(folder / "netrc")}
    return kept | own | {"COLUMNS": "160"}


def heed_interrupts() -> None:
    """Undoes what a shell does to the commands that it runs in the background: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(
    name: str,
    *arguments: str,
    folder: Path,
    new_group: bool = False,
    most_bytes: int | None = None,
    warm: bool = True,
    variables: Mapping[str, str] = {},
) -> Running:
    """Starts a console script in a folder.

    Args:
        name: The script.
        arguments: Its command line.
        folder: Where to start it.
        new_group: In a group of processes of its own, to be interrupted as one.
        most_bytes: The largest file that it can write.
        warm: For the package's scripts: by forking a process that has imported everything, which saves seconds.
        variables: Environment variables beside the usual ones. A warm process has imported its libraries without them.
    """
    env = environment(folder) | dict(variables)
    if warm and name.startswith("lgad-"):
        return Warm(SCRIPTS / name, arguments, folder, env, new_group, most_bytes)

    def prepare() -> None:
        heed_interrupts()
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [str(SCRIPTS / name), *arguments],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        start_new_session=new_group,
    )


def finish(process: Running, timeout: float = 300) -> Ended:
    """Waits for a command's end."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, stdout, stderr)


def run(name: str, *arguments: str, folder: Path, fails: bool = False, warm: bool = True) -> Ended:
    """Runs a console script in a folder and checks its exit code."""
    end = finish(start(name, *arguments, folder=folder, warm=warm))
    assert (end.code != 0) == fails, f"exit code {end.code}\n{end.stdout}\n{end.stderr}"
    return end


def cli_config(name: str) -> dict[str, Any]:
    """A configuration for lgad-cli that ships with the package, with its data's file put in."""
    config: dict[str, Any] = yaml.safe_load((CLI_CONFIG_DIR / name).read_text())
    config["data"] = yaml.safe_load((CLI_CONFIG_DIR / config["data"]).read_text())
    return config
