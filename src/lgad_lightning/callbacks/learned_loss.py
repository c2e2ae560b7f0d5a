"""The part of a distillation callback that trains modules of the loss itself."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Size, Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lgad_lightning.callbacks.running_fit import RunningFit, parameters_around
from lgad_lightning.callbacks.trainable_parts import TrainableParts, optimizer_like


class LearnedLoss(L.Callback):
    """A loss with trainable modules. They are trained with the student, but are not part of it.

    A subclass returns them from `trainable_modules` and uses them as `trainable`. Their state is in the checkpoint as
    the state of the callback.
    """

    name: str

    def __init__(self) -> None:
        self._trainable: TrainableParts | None = None
        self._saved: dict[str, Any] | None = None

    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module | None:
        """Make the modules that the loss trains, for example adapters between unequal numbers of channels.

        This is called once in a fit, at the first batch. `compute_loss` uses the result as `self.trainable`. It is
        trained with the student, but is not part of it.

        Args:
            student_shapes: Shapes `(B, C, H, W)` of the student's features.
            teacher_shapes: Shapes `(B, C', H', W')` of the teacher's features.

        Returns:
            The module, or None if there is nothing to train (the default).
        """
        return None

    def trainable_optimizer(self, parameters: list[nn.Parameter], student_optimizer: Optimizer) -> Optimizer:
        """Make the optimiser of `trainable_modules`. By default, it is like the student's and follows its settings.

        Args:
            parameters: The parameters of the trainable modules.
            student_optimizer: The optimiser of the distilled layers. Both step together.

        Returns:
            An optimiser. If a subclass overrides this method, its optimiser keeps its own settings.
        """
        return optimizer_like(parameters, student_optimizer)

    def trainable_loss(self, fit: RunningFit, inputs: tuple[Any, ...]) -> Tensor | None:
        """Compute a loss for the trainable modules alone. It is used in every step, also while the weight is 0.

        Args:
            fit: The current fit.
            inputs: What `teacher_inputs` returned.

        Returns:
            A scalar whose gradient must not reach the student, or None for no such loss (the default).
        """
        return None

    @property
    def trainable(self) -> nn.Module:
        """The module that `trainable_modules` made for the current or the last fit."""
        if self._trainable is None:
            raise RuntimeError(f"{type(self).__name__} has no trainable modules before the first batch of a fit")
        return self._trainable.module

    def trainable_state(self) -> dict[str, Any] | None:
        """The state of the trainable modules for a checkpoint: `modules` and `optimizer`. None if there are none."""
        return self._saved if self._trainable is None else self._trainable.state_dict()

    @property
    @override
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self.name}]"

    # Not `state_dict`: Lightning refuses two callbacks with one key before this class can explain the reason.
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
            self._trainable.restart()  # a learning-rate finder has trained it

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        if self._trainable is not None and self._trainable.follows(optimizer):
            self._trainable.stepping = True

    def _make_trainable(self, fit: RunningFit, student: list[Tensor], teacher: list[Tensor]) -> None:
        with torch.random.fork_rng(devices=[]):  # the student draws the same random numbers as without
            module = self.trainable_modules([s.shape for s in student], [t.shape for t in teacher])
        if module is not None:
            build, mirrored = self.trainable_optimizer, not is_overridden("trainable_optimizer", self, LearnedLoss)
            followed = [parameter for name in fit.layers for parameter in parameters_around(fit.module, name)]
            self._trainable = TrainableParts(module, fit.module, followed, build, mirrored, self._saved)

    def _learning(self, loss: Callable[[], Tensor]) -> Tensor:
        """Compute a loss that trains the modules. They stay in float32 if the student has true half precision."""
        if self._trainable is None:
            return loss()
        self._trainable.use()
        with self._trainable.precision():
            return loss()

    def _with_own_loss(self, task: Tensor, fit: RunningFit, inputs: tuple[Any, ...]) -> Tensor:
        """Add the gradient of `trainable_loss`, but not its value: it is not a loss of the student."""
        if self._trainable is None or not is_overridden("trainable_loss", self, LearnedLoss):
            return task
        self._trainable.use()
        own = self.trainable_loss(fit, inputs)
        return task if own is None else task + (own - own.detach())

    def _rest(self) -> None:
        if self._trainable is not None:
            self._trainable.close()
            self._trainable.module.cpu()
