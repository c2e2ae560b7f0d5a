"""The half of a distillation callback that trains what the loss itself has to learn."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Size, Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.trainable_parts import TrainableParts, optimizer_like


class LearnedLoss(L.Callback):
    """A loss with trainable modules, which are trained beside the student and are no part of it.

    A subclass returns them from `trainable_modules` and finds them as `trainable`. Their state is in the checkpoint as
    the callback's own.
    """

    name: str

    def __init__(self) -> None:
        self._trainable: TrainableParts | None = None
        self._saved: dict[str, Any] | None = None

    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module | None:
        """Make what the loss itself has to learn, adapters between unequal numbers of channels for instance.

        It is called once in a fit, at the first batch. `compute_loss` finds the result as `self.trainable`. It is
        trained along with the student and is no part of it.

        Args:
            student_shapes: Shapes `(B, C, H, W)` of the student's features.
            teacher_shapes: Shapes `(B, C', H', W')` of the teacher's.

        Returns:
            The module, or None, as by default, where there is nothing to learn.
        """
        return None

    def trainable_optimizer(self, parameters: list[nn.Parameter], student_optimizer: Optimizer) -> Optimizer:
        """Make the optimiser of `trainable_modules`: one like the student's, which follows its settings in every step.

        Args:
            parameters: Those of the trainable modules.
            student_optimizer: The optimiser of the distilled layers; the two step together.

        Returns:
            An optimiser; that of a subclass keeps settings of its own.
        """
        return optimizer_like(parameters, student_optimizer)

    def trainable_loss(self, fit: RunningFit, inputs: tuple[Any, ...]) -> Tensor | None:
        """Compute what the trainable modules learn by themselves, in every step and whatever the weight.

        Args:
            fit: The fit that is running.
            inputs: What `teacher_inputs` returned.

        Returns:
            A scalar, whose gradient must not reach the student; None, as by default, for no such loss.
        """
        return None

    @property
    def trainable(self) -> nn.Module:
        """What `trainable_modules` made for this fit, or for the last one."""
        if self._trainable is None:
            raise RuntimeError(f"{type(self).__name__} has no trainable modules before the first batch of a fit")
        return self._trainable.module

    def trainable_state(self) -> dict[str, Any] | None:
        """What a checkpoint holds of the trainable modules: `modules` and `optimizer`; None if there are none."""
        return self._saved if self._trainable is None else self._trainable.state_dict()

    @property
    @override
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self.name}]"

    # Not `state_dict`, of which Lightning refuses two with one key before this class can say why.
    @override
    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        state = self.trainable_state()
        if state is not None:
            checkpoint["callbacks"][self.state_key] = state

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._trainable is not None:
            self._trainable.restart()  # a learning-rate finder has trained

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        if self._trainable is not None and self._trainable.follows(optimizer):
            self._trainable.stepping = True

    def _make_trainable(self, fit: RunningFit, student: list[Tensor], teacher: list[Tensor]) -> None:
        with torch.random.fork_rng(devices=[]):  # the student draws the same numbers as without
            module = self.trainable_modules([s.shape for s in student], [t.shape for t in teacher])
        if module is not None:
            build, mirrored = self.trainable_optimizer, not is_overridden("trainable_optimizer", self, LearnedLoss)
            self._trainable = TrainableParts(module, fit.module, fit.layers.values(), build, mirrored, self._saved)

    def _learning(self, loss: Callable[[], Tensor]) -> Tensor:
        """Compute a loss that trains the trainable modules; they stay float32 in a student of true half precision."""
        if self._trainable is None:
            return loss()
        self._trainable.use()
        with self._trainable.precision():
            return loss()

    def _with_own_loss(self, task: Tensor, fit: RunningFit, inputs: tuple[Any, ...]) -> Tensor:
        """The same value, from which the gradient of `trainable_loss` flows too: it is no loss of the student's."""
        if self._trainable is None or not is_overridden("trainable_loss", self, LearnedLoss):
            return task
        self._trainable.use()
        own = self.trainable_loss(fit, inputs)
        return task if own is None else task + (own - own.detach())

    def _rest(self) -> None:
        if self._trainable is not None:
            self._trainable.close()
            self._trainable.module.cpu()
