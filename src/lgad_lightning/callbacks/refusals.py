"""What a distillation callback refuses, so that no error comes raw from inside or too late."""

from collections.abc import Sequence
from typing import Any, Protocol

import lightning as L
import torch
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.weight_schedule import When
from lgad_lightning.errors import LgadError


class Distillation(Protocol):
    """What is looked at of a distillation callback."""

    name: str
    start: When
    end: When | None

    @property
    def running(self) -> RunningFit:
        """The fit that is running."""

    def weight_at(self, step: int, /) -> float:
        """The weight at a step."""

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor], /) -> Tensor:
        """The loss of one batch."""


def refuse_no_network(teacher: Any, kind: str) -> None:
    """Refuse a teacher that is no network.

    Args:
        teacher: What was given for it; None is left to the fit.
        kind: The callback's class.

    Raises:
        LgadError: Saying how to make one of a path.
    """
    if teacher is not None and not isinstance(teacher, nn.Module):
        raise LgadError(
            f"teacher={teacher!r} of {kind} is a {type(teacher).__name__}, not a network: give the network itself,"
            " load_teacher(path, network) for a checkpoint"
        )


def refuse_loader_step(kind: str, module: L.LightningModule) -> None:
    """Refuse a training step that draws its batches itself.

    Args:
        kind: The callback's class.
        module: The student.

    Raises:
        LgadError: If it does.
    """
    if is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True):
        raise LgadError(f"{kind} needs training_step(batch, ...), not one that takes dataloader_iter")


def refuse_shared_names(callback: Distillation, trainer: L.Trainer) -> None:
    """Refuse a second distillation of the same name.

    Args:
        callback: The callback that is set up.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: Naming both.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for other in callbacks:
        if other is not callback and hasattr(other, "compute_loss") and other.name == callback.name:
            raise LgadError(
                f"{type(callback).__name__} and {type(other).__name__} are both named {callback.name!r} and would write"
                " into each other's log: give one of them name="
            )


def check_set_up(callback: Distillation, trainer: L.Trainer, module: L.LightningModule) -> None:
    """Look at the callback's surroundings before anything is changed.

    Args:
        callback: The callback that is set up.
        trainer: The trainer with all callbacks.
        module: The student.

    Raises:
        LgadError: If it cannot work in them.
    """
    refuse_loader_step(type(callback).__name__, module)
    refuse_shared_names(callback, trainer)


def check_ahead(callback: Distillation, trainer: L.Trainer) -> None:
    """Look at the callback and its surroundings at the start of a fit.

    Args:
        callback: The callback that is at work.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: If the weights cannot be, or early stopping would look at figures that do not exist.
    """
    callback.weight_at(0)  # fails for a fraction of an endless training
    refuse_stopping_on_nothing(callback, trainer)
    for name in untrained_modules(callback):
        callback.running.warn_once(
            f"untrained {name}",
            f"nothing trains {type(callback).__name__}.{name}: return it from trainable_modules, or freeze it"
            " (requires_grad_(False)) if it is not to learn",
        )


def refuse_stopping_on_nothing(callback: Distillation, trainer: L.Trainer) -> None:
    """Refuse early stopping on figures of the distillation that do not exist throughout the training.

    Args:
        callback: The callback that is at work.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: Naming the monitored figure.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    last = trainer.estimated_stepping_batches - 1
    steps = [0] if last == float("inf") else [0, int(last)]
    if all(callback.weight_at(step) for step in steps) and callback.end is None:
        return
    for other in callbacks:
        monitor = getattr(other, "monitor", None)
        if hasattr(other, "check_finite") and isinstance(monitor, str) and monitor.startswith(f"{callback.name}/"):
            raise LgadError(
                f"{type(other).__name__} monitors {monitor!r}, which is NaN while the weight is 0"
                f" (start={callback.start}, end={callback.end}): it would end the training there. Let it monitor a"
                " validation figure, or let the distillation be at work throughout (start=0, end=None)"
            )


def untrained_modules(callback: Distillation) -> list[str]:
    """Find modules that a callback holds as attributes, where nothing trains them.

    Args:
        callback: The callback.

    Returns:
        Names of the attributes with trainable parameters, the teacher excepted.
    """
    return [
        name
        for name, value in vars(callback).items()
        if name != "teacher" and isinstance(value, nn.Module) and any(p.requires_grad for p in value.parameters())
    ]


def checked_loss(callback: Distillation, labels: Sequence[str], student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Compute the loss of a callback.

    Args:
        callback: Whose `compute_loss`.
        labels: A name for each pair of layers.
        student: The student's features.
        teacher: The teacher's.

    Returns:
        A scalar.

    Raises:
        LgadError: If it is something else, or failed on features of unequal shapes.
    """
    kind = type(callback).__name__
    try:
        loss: Any = callback.compute_loss(student, teacher)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        shapes = [(tuple(s.shape), tuple(t.shape)) for s, t in zip(student, teacher, strict=False)]
        if isinstance(error, LgadError) or all(s == t for s, t in shapes):
            raise
        pairs = ", ".join(f"{label}: {s} and {t}" for label, (s, t) in zip(labels, shapes, strict=False))
        raise LgadError(
            f"compute_loss of {kind} failed on features of unequal shapes (student's and teacher's of {pairs}):"
            f" {error}. Name layers of equal shapes in student_layers and teacher_layers, or have compute_loss adapt"
            " them"
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        found = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise LgadError(f"compute_loss of {kind} returned {found}: return a scalar tensor")
    return loss.reshape(())
