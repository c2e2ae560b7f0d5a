"""When Slurm announces that a job ends: the checkpoint is saved between two steps."""

import signal
from collections.abc import Callable
from typing import Any

import lightning as L
from typing_extensions import override


class RequeueBetweenSteps(L.Callback):
    """Has Lightning answer the signal to requeue after the step at hand, and in all processes after the same one.

    Lightning's own handler saves a checkpoint and has Slurm queue the job again. It does so at once, which may be in
    the midst of an optimiser step.
    """

    def __init__(self) -> None:
        self._handler: Callable[..., Any] | None = None
        self._asked = False

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        handler = signal.getsignal(signal.SIGUSR1)
        if callable(handler):
            self._handler, self._asked = handler, False
            signal.signal(signal.SIGUSR1, self._ask)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    @override
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self._handler is not None and trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            self._asked = False
            self._handler(signal.SIGUSR1, None)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._give_back()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGUSR1, self._handler)
            self._handler = None
