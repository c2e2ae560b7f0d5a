"""Adds a loss on recorded layers to the training step of a LightningModule, without changing its code."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lgad_lightning.callbacks.shadowed_method import ShadowedMethod
from lgad_lightning.errors import LgadError
from lgad_lightning.features import RecordedFeatures, depends_on, record_features

Add = Callable[[Tensor, tuple[Any, ...], RecordedFeatures], Tensor]


class JoinedStep:
    """Wraps a module's `training_step` and `manual_backward` until `remove` is called.

    Args:
        module: The module.
        prepare: Called with each training batch before the step, because the step may change the batch. Returns the
            layers to record, and what the loss needs of the batch.
        add: Called with the loss of the task, with what `prepare` returned, and with the recorded features. Returns the
            sum of both losses. With manual optimisation, it is called once for each forward pass, at the first
            `manual_backward` through it.
    """

    def __init__(
        self,
        module: L.LightningModule,
        prepare: Callable[[Any], tuple[dict[str, nn.Module], tuple[Any, ...]]],
        add: Add,
    ) -> None:
        self._module = module
        self._prepare = prepare
        self._add = add
        self._pending: tuple[tuple[Any, ...], RecordedFeatures] | None = None
        self._wanted = 0  # layers of a whole pass
        self._joined = self._warned = False
        self._shadows = [
            ShadowedMethod(module, "training_step", self._around_training_step),
            ShadowedMethod(module, "manual_backward", self._around_manual_backward),
        ]

    def remove(self) -> None:
        """Restore the module."""
        for shadow in self._shadows:
            shadow.remove()

    def _around_training_step(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not (self._module.trainer.training and torch.is_grad_enabled()):
            return step(*args, **kwargs)  # for example, called by a validation step
        layers, inputs = self._prepare(args[0] if args else next(iter(kwargs.values())))
        with record_features(layers, owner="the student") as recorded:
            self._pending, self._joined, self._wanted = (inputs, recorded), False, len(layers)
            try:
                output = step(*args, **kwargs)
            finally:
                self._pending = None
        if not self._module.automatic_optimization:
            self._expect_none_left(recorded)
            return output
        if isinstance(output, Mapping) and isinstance(output.get("loss"), Tensor):
            return {**output, "loss": self._add(output["loss"], inputs, recorded)}
        return self._add(output, inputs, recorded) if isinstance(output, Tensor) else output  # Lightning refuses others

    def _around_manual_backward(self, backward: Callable[..., Any], loss: Tensor, *args: Any, **kwargs: Any) -> None:
        pending = self._pending
        outputs = {} if pending is None else pending[1].outputs
        in_part = self._joined and len(outputs) < self._wanted  # a second pass, which leaves out some layers
        if pending is None or in_part or not depends_on(loss, outputs.values()):
            try:
                backward(loss, *args, **kwargs)
            except RuntimeError as error:
                if not (self._joined and "second time" in str(error)):
                    raise
                raise LgadError(
                    "the layers of the distillation belong to several losses of this step, and it was added to the"
                    " first one, whose backward pass went through all of them: use one distillation for each loss,"
                    " with its student_layers= and a name= of its own"
                ) from error
            return
        backward(self._add(loss, *pending), *args, **kwargs)
        self._joined = True
        pending[1].clear()  # done; a checkpointed layer has recorded again during the backward pass

    def _expect_none_left(self, recorded: RecordedFeatures) -> None:
        left = any(isinstance(output, Tensor) and output.requires_grad for output in recorded.outputs.values())
        if left and not (self._joined or self._warned):
            self._warned = True
            rank_zero_warn(
                "the student's layers ran, but no self.manual_backward(loss) of this step went through them, so nothing"
                " was distilled: call self.manual_backward(loss) instead of loss.backward()"
            )
