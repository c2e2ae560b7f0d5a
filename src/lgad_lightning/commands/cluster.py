"""Processes that torchrun or Slurm start: one folder for all of a run, found again when the job is started again."""

import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed.rendezvous import rendezvous

from lgad_lightning.commands.command_line import quote


def cluster_arguments(arguments: list[str]) -> list[str]:
    """Names the folder that the processes of a run share, which Hydra would name by each one's clock.

    A job that Slurm or torchrun has started again, with the command that it was started with, goes on with its run.

    Args:
        arguments: The command line's arguments.

    Returns:
        The arguments to go on with: those given where this is no such process, or `resume=FOLDER`.
    """
    if any(argument.startswith("resume=") for argument in arguments):
        return arguments
    is_sweep = not {"-m", "--multirun"}.isdisjoint(arguments)
    key = "hydra.sweep.dir=" if is_sweep else "hydra.run.dir="
    given = [argument.removeprefix(key).strip("'\"") for argument in arguments if argument.startswith(key)]
    folder = given[-1] if given else shared_folder("multirun" if is_sweep else "outputs")
    if folder is None:
        return arguments
    if not is_sweep and was_started_before() and Path(folder, ".hydra", "config.yaml").is_file():
        return [f"resume={folder}"]
    return arguments if given else [*arguments, f"{key}{quote(folder)}"]


def shared_folder(above: str) -> str | None:
    """A folder by a name that all processes know.

    Args:
        above: The folder above it.

    Returns:
        None for a process that was started by hand.
    """
    job, step = SLURMEnvironment.job_id(), os.environ.get("SLURM_STEP_ID")
    if job is not None and step is not None:
        return f"{above}/slurm-{job}.{step}"
    if TorchElasticEnvironment.detect():
        return agreed(f"{above}/{datetime.now():%Y-%m-%d/%H-%M-%S}")
    return None


def was_started_before() -> bool:
    """Whether Slurm has queued this job again, or torchrun has started its processes again."""
    return any(int(os.environ.get(f"{starter}_RESTART_COUNT") or 0) > 0 for starter in ("SLURM", "TORCHELASTIC"))


@cache  # the store lives as long as the process: others may still ask it
def _store() -> Any:
    return next(rendezvous("env://"))[0]


def agreed(name: str) -> str:
    """The first process's value, in all processes that torchrun has started.

    Args:
        name: This process's value.
    """
    if TorchElasticEnvironment().global_rank() == 0:
        _store().set("lgad-fit", name)
    return str(_store().get("lgad-fit"), "utf-8")
