"""Slurm's SIGUSR1 at the moments of a run, with a stand-in for `scontrol` that only writes down how it is called."""

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lgad_lightning.commands.requeue import CHECKPOINT, RequeueBetweenSteps, heeding_slurm

SLURM = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "lanes", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
Called = Callable[[], list[str]]


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Called:
    """How `scontrol` has been called so far."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in (SLURM | {"SLURM_LOCALID": "0", "SLURM_NODEID": "0"}).items():
        monkeypatch.setenv(name, value)
    calls = tmp_path / "calls"
    calls.touch()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent), prepend=os.pathsep)
    return lambda: calls.read_text().splitlines()


def announce() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_the_job_is_queued_again_at_once(called: Called) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with heeding_slurm():
        announce()
        assert called() == ["requeue 4711"]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_job_of_an_array_is_named_by_both_numbers(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4700")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with heeding_slurm():
        announce()
    assert called() == ["requeue 4700_3"]


def test_other_processes_of_the_job_leave_it_to_the_first(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    with heeding_slurm():
        announce()
    assert called() == []


def test_a_forked_process_does_not_answer(called: Called) -> None:
    with heeding_slurm():
        if not (child := os.fork()):
            announce()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert called() == []


def test_nothing_changes_where_slurm_has_not_started_the_process(
    called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_NTASKS")
    with heeding_slurm():
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_run_goes_on_if_the_job_cannot_be_queued_again(
    called: Called, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with heeding_slurm(), caplog.at_level(logging.WARNING):
        announce()
    assert "cannot be queued again" in caplog.text


class Line(L.LightningModule):
    """Is given the signal at a moment, and notes how `scontrol` has been called by then."""

    def __init__(self, moment: str, called: Called) -> None:
        super().__init__()
        self.line = torch.nn.Linear(2, 1)
        self.moment = moment
        self.called = called
        self.calls: list[str] | None = None

    def maybe_announced(self, moment: str) -> None:
        if moment == self.moment and self.calls is None:
            announce()
            self.calls = self.called()

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        if index == 1:
            self.maybe_announced("training")
        return self.line(batch[0]).square().mean()

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.maybe_announced("validation")

    def test_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.maybe_announced("test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("moment", ["training", "validation", "test"])
def test_a_training_step_is_finished_and_saved_and_anything_else_is_interrupted(
    called: Called, tmp_path: Path, moment: str
) -> None:
    data = DataLoader(TensorDataset(torch.ones(4, 2)))
    module = Line(moment, called)
    with heeding_slurm():
        trainer = L.Trainer(
            max_epochs=2, accelerator="cpu", devices=1, logger=False, default_root_dir=tmp_path,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[RequeueBetweenSteps()],
        )  # fmt: skip
        trainer.fit(module, data, data)
        trainer.test(module, data, verbose=False)
        assert called() == ["requeue 4711"]
        announce()
        assert len(called()) == 2
    if moment == "training":
        assert module.calls == []
        assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["global_step"] == 2
    else:
        assert module.calls == ["requeue 4711"]
        assert not (tmp_path / CHECKPOINT).exists()
