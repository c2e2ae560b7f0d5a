"""Gives all processes of torchrun or Slurm one run folder. A job that Slurm starts again finds it again."""

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
    """Names the folder that the processes of a run share. Hydra would name it by the clock of each process.

    If Slurm starts a job again, with the same command, the job continues its run. If torchrun does (`--max-restarts`),
    the job continues only if `hydra.run.dir` was given.

    Args:
        arguments: The command line's arguments.

    Returns:
        The arguments to use: with the name of the folder, or with `resume=FOLDER`. Outside of Slurm and torchrun, the
        given arguments.
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
    """Names a folder so that all processes know its name.

    Args:
        above: The folder above it.

    Returns:
        The folder. None for a process that was started by hand.
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


@cache  # the store lives as long as the process, because others may still ask it
def _store() -> Any:
    return next(rendezvous("env://"))[0]


def agreed(name: str) -> str:
    """Returns the first process's value in all processes that torchrun started.

    Args:
        name: This process's value.
    """
    if TorchElasticEnvironment().global_rank() == 0:
        _store().set("lgad-fit", name)
    return str(_store().get("lgad-fit"), "utf-8")
