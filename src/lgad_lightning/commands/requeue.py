"""Lets Slurm queue a job of `lgad-fit` again when Slurm announces the end of the job by `SIGUSR1`."""

import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from typing_extensions import override

log = logging.getLogger(__name__)

CHECKPOINT = "requeued.ckpt"
"""The file that a training saves in its phase's folder before its job is queued again."""


@contextmanager
def heeding_slurm() -> Iterator[None]:
    """Answers the signal at once while the block lasts. Does nothing if Slurm did not start this process.

    During a training step `RequeueBetweenSteps` answers instead.
    """
    if not (SLURMEnvironment.detect() and SLURMEnvironment.job_id() is not None):
        yield
        return
    process = os.getpid()

    def answer(*_: Any) -> None:
        if os.getpid() == process:  # not in a loader's process, which inherits this function
            queue_again()

    before = signal.signal(signal.SIGUSR1, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def queue_again() -> None:
    """Lets Slurm queue this job again, which ends the job. If there are several processes, only the first does this."""
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    log.info("Slurm announces the end of job %s, which is queued again.", job)
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("The job cannot be queued again: %s. It ends at its time limit.", error)


class RequeueBetweenSteps(L.Callback):
    """Answers the signal with a checkpoint after the current training step, which is the same in all processes.

    A checkpoint saved during a validation would skip the rest of it. So during a validation, `heeding_slurm` answers at
    once. The training then continues from its last checkpoint.
    """

    def __init__(self) -> None:
        self._at_once: Any = None
        self._asked = False

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._defer()

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_deferring()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._defer()

    @override
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            self._asked = False
            for logger in trainer.loggers:
                logger.finalize("finished")
            trainer.save_checkpoint(Path(trainer.default_root_dir, CHECKPOINT))
            queue_again()

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_deferring()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._asked = False
        self._stop_deferring()

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def _defer(self) -> None:
        if self._at_once is None:
            self._at_once = signal.signal(signal.SIGUSR1, self._ask)

    def _stop_deferring(self) -> None:
        if self._at_once is not None:
            signal.signal(signal.SIGUSR1, self._at_once)
            self._at_once = None
        if self._asked:  # since the last step
            self._asked = False
            queue_again()
