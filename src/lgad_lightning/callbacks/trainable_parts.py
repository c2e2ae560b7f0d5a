"""Trains modules of a distillation loss beside the student, without a trace in the student."""

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lgad_lightning.errors import LgadError, first_line

BuildOptimizer = Callable[[list[nn.Parameter], Optimizer], Optimizer]


class TrainableParts:
    """Trains a module together with a student. Its optimiser steps whenever the student's optimiser steps.

    The module is not in the student's optimiser, clipping or `state_dict`. Its gradients are averaged over the
    processes, unscaled and clipped by the rules of the trainer, separately from the student's.

    Args:
        module: The module. It is moved to the student's device and gets the weights of the first process.
        student: The student, during a fit.
        followed: The parameters of the distilled layers of the student. The optimiser that has them is followed, with
            the settings of their group.
        build: Makes the module's optimiser from its parameters and the student's optimiser.
        mirrored: Whether this optimiser copies the settings (such as the learning rate) of the student's in every step.
        state: What `state_dict` returned in the fit that is resumed.
    """

    def __init__(
        self,
        module: nn.Module,
        student: L.LightningModule,
        followed: Iterable[nn.Parameter],
        build: BuildOptimizer,
        mirrored: bool = True,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.module = module
        self._student = student
        self._followed_parameters = set(followed)
        self._build = build
        self._mirrored = mirrored
        strategy = student.trainer.strategy
        module.to(strategy.root_device).train()
        if student.dtype != torch.float64:  # there, a module that was made in the step is in float64, too
            module.float()
        load_trained(module, strategy.broadcast(module.state_dict() if state is None else state["modules"]))
        self._first = {key: value.clone() for key, value in module.state_dict().items()}
        self._first_optimizer = None if state is None else state["optimizer"]
        self._optimizer: Optimizer | None = None
        self._followed: Optimizer | None = None
        self._hook: Any = None
        self._used = False
        self.stepping = False

    def state_dict(self) -> dict[str, Any]:
        """The weights of the module and the state of its optimiser, as tensors and numbers."""
        optimizer = self._first_optimizer if self._optimizer is None else self._optimizer.state_dict()
        return {"modules": self.module.state_dict(), "optimizer": optimizer}

    def restart(self) -> None:
        """Restore the first weights, for example after a finder of the learning rate or the batch size."""
        self.module.load_state_dict(self._first)
        self.module.zero_grad()
        self._used = self.stepping = False
        self.close()
        self._optimizer = self._followed = None

    def use(self) -> None:
        """Note that the next loss depends on the module."""
        if self.stepping and self._optimizer is not None:
            self._optimizer.zero_grad()  # a gradient scaler skipped the step
        self.stepping, self._used = False, True
        if not list(self.module.parameters()):
            return
        followed = self._choose(self._student.trainer.optimizers)
        if followed is not self._followed:
            self.close()
            self._followed, self._optimizer = followed, self._build(list(self.module.parameters()), followed)
            if self._first_optimizer is not None:
                load_trained(self._optimizer, self._first_optimizer)
            self._hook = followed.register_step_post_hook(self._step)

    def precision(self) -> AbstractContextManager[Any]:
        """The context of the loss: autocast if the student has true half precision. The module stays in float32."""
        dtype, device = self._student.dtype, self._student.device.type
        return torch.autocast(device, dtype) if dtype in (torch.float16, torch.bfloat16) else nullcontext()

    def follows(self, optimizer: Optimizer) -> bool:
        """Whether this optimiser of the student is the one that is followed."""
        return optimizer is self._followed

    def close(self) -> None:
        """Remove the hook from the student's optimiser."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _choose(self, optimizers: list[Optimizer]) -> Optimizer:
        for optimizer in optimizers:
            if any(parameter in self._followed_parameters for parameter in _parameters(optimizer)):
                return optimizer
        return optimizers[0]

    def _group(self, optimizer: Optimizer) -> int:
        """The number of the parameter group with the distilled layers. Groups can have their own learning rates."""
        for number, group in enumerate(optimizer.param_groups):
            if any(parameter in self._followed_parameters for parameter in group["params"]):
                return number
        return 0

    def _step(self, followed: Optimizer, *_: Any) -> None:
        optimizer = self._optimizer
        if not self._used or optimizer is None:  # the weight is 0, or a step within a step
            return
        self._used = self.stepping = False
        self._synchronise()
        if all(parameter.grad is None for parameter in self.module.parameters()):
            return
        trainer = self._student.trainer
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            scaler.unscale_(optimizer)
        if trainer.gradient_clip_val and self._student.automatic_optimization:
            by_value = trainer.gradient_clip_algorithm == "value"
            clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
            clip(self.module.parameters(), trainer.gradient_clip_val)
        if self._mirrored:
            mirror(followed, optimizer, self._group(followed))
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
        optimizer.zero_grad()

    def _synchronise(self) -> None:
        """Average the gradients over the processes, and copy the buffers of the first process."""
        trainer = self._student.trainer
        if trainer.world_size == 1:
            return
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            averaged: Any = trainer.strategy.reduce(gradient, reduce_op="mean")
            parameter.grad = averaged
        for buffer in self.module.buffers():
            torch.distributed.broadcast(buffer, 0)


def load_trained(part: nn.Module | Optimizer, state: dict[str, Any]) -> None:
    """Load the state of a trainable module, or of its optimiser, from the checkpoint of the fit that is resumed.

    Args:
        part: The module or optimiser.
        state: Its state.

    Raises:
        LgadError: If it belongs to another one.
    """
    try:
        part.load_state_dict(state)
        if isinstance(part, Optimizer) and (missing := part.defaults.keys() - part.param_groups[0].keys()):
            raise KeyError(*sorted(missing))  # torch misses them in the first step
    except (RuntimeError, KeyError, ValueError) as error:
        raise LgadError(
            f"the checkpoint holds the state of another {type(part).__name__} that a distillation trains: resume with"
            f" the teacher, the layers and the optimiser of that training, or start anew ({first_line(error)})"
        ) from error


def optimizer_like(parameters: list[nn.Parameter], other: Optimizer) -> Optimizer:
    """Make an optimiser with the class and the settings of another one.

    Args:
        parameters: The parameters to optimise.
        other: The other optimiser. The settings are those of its first group.

    Returns:
        The optimiser, without a state.

    Raises:
        LgadError: If this class cannot be built from parameters and settings.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> optimizer_like([weight], torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.5)).param_groups[0]["lr"]
        0.5
    """
    kind: Any = type(other)
    accepted = inspect.signature(kind).parameters
    settings = {key: value for key, value in other.defaults.items() if key in accepted and key != "fused"}
    try:
        if isinstance(other, torch.optim.LBFGS):
            raise TypeError("its step needs a closure")
        optimizer: Optimizer = kind(parameters, **settings)
    except (TypeError, ValueError) as error:
        raise LgadError(
            f"no optimiser like the student's {kind.__name__} can be made for the trainable modules of the distillation"
            f" ({error}): override trainable_optimizer(parameters, student_optimizer)"
        ) from error
    mirror(other, optimizer)
    return optimizer


def mirror(source: Optimizer, target: Optimizer, number: int = 0) -> None:
    """Copy the current settings of an optimiser, such as the learning rate, to another one of the same class.

    Args:
        source: The optimiser whose settings are copied.
        target: The optimiser that gets them. If its class is different, it is not changed.
        number: The parameter group of the first optimiser that has the settings.
    """
    if type(source) is type(target):
        own = ("params", "param_names", "fused")
        settings = {key: value for key, value in source.param_groups[number].items() if key not in own}
        for group in target.param_groups:
            group.update(settings)


def _parameters(optimizer: Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
