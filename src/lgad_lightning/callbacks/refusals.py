"""Checks of a distillation callback. They refuse mistakes early and with a message."""

from collections.abc import Sequence
from typing import Any, Protocol

import lightning as L
import torch
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.weight_schedule import When, in_steps
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import steps_of


class Distillation(Protocol):
    """The parts of a distillation callback that are checked."""

    name: str
    start: When
    end: When | None

    @property
    def running(self) -> RunningFit:
        """The current fit."""

    def weight_at(self, step: int, /) -> float:
        """The weight at a step."""

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor], /) -> Tensor:
        """The loss of one batch."""


def refuse_no_network(teacher: Any, kind: str) -> None:
    """Refuse a teacher that is not a network.

    Args:
        teacher: The argument `teacher`. None is checked later, by the fit.
        kind: The class of the callback.

    Raises:
        LgadError: If it is not a network. The message says how to load one.
    """
    if teacher is not None and not isinstance(teacher, nn.Module):
        raise LgadError(
            f"teacher={teacher!r} of {kind} is a {type(teacher).__name__}, not a network: give the network itself."
            " load_teacher(path, network) loads a checkpoint"
        )


def refuse_loader_step(kind: str, module: L.LightningModule) -> None:
    """Refuse a training step that gets its batches from the loader itself.

    Args:
        kind: The class of the callback.
        module: The student.

    Raises:
        LgadError: If the step takes `dataloader_iter`.
    """
    if is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True):
        raise LgadError(f"{kind} needs training_step(batch, ...), not one that takes dataloader_iter")


def refuse_shared_names(callback: Distillation, trainer: L.Trainer) -> None:
    """Refuse a second distillation with the same name.

    Args:
        callback: The callback that is set up.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: If there is one. The message names both.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for other in callbacks:
        if other is not callback and hasattr(other, "compute_loss") and other.name == callback.name:
            raise LgadError(
                f"{type(callback).__name__} and {type(other).__name__} are both named {callback.name!r} and would write"
                " the same names into the log: give one of them another name="
            )


def check_ahead(callback: Distillation, trainer: L.Trainer) -> None:
    """Check the schedule and the other callbacks at the start of a fit.

    Args:
        callback: The active callback.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: If the schedule is impossible, or if early stopping monitors a figure that does not always exist.
    """
    callback.weight_at(0)  # fails for a fraction of an endless training
    start, _, _ = in_steps(callback.start, 0, None, lambda: trainer)
    if start >= steps_of(trainer) > 0:
        callback.running.warn_once(
            "never",
            f"{type(callback).__name__}: start={callback.start} is not before the end of the training"
            f" ({steps_of(trainer):.0f} steps), so nothing is distilled",
        )
    refuse_stopping_on_nothing(callback, trainer)
    for name in untrained_modules(callback):
        callback.running.warn_once(
            f"untrained {name}",
            f"{type(callback).__name__}.{name} is not trained: return it from trainable_modules. If it should not"
            " learn, freeze it (requires_grad_(False))",
        )


def refuse_stopping_on_nothing(callback: Distillation, trainer: L.Trainer) -> None:
    """Refuse early stopping on figures of the distillation that do not exist during the whole training.

    Args:
        callback: The active callback.
        trainer: The trainer with all callbacks.

    Raises:
        LgadError: If there is such a figure. The message names it.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    last = steps_of(trainer) - 1
    steps = [0] if last == float("inf") else [0, int(last)]
    if all(callback.weight_at(step) for step in steps) and callback.end is None:
        return
    for other in callbacks:
        monitor = getattr(other, "monitor", None)
        if hasattr(other, "check_finite") and isinstance(monitor, str) and monitor.startswith(f"{callback.name}/"):
            raise LgadError(
                f"{type(other).__name__} monitors {monitor!r}, which is NaN while the weight is 0"
                f" (start={callback.start}, end={callback.end}): it would end the training there. Monitor a figure"
                " of the validation, or use the distillation during the whole training (start=0, end=None)"
            )


def untrained_modules(callback: Distillation) -> list[str]:
    """Find modules that are only attributes of the callback, so that nothing trains them.

    Args:
        callback: The callback.

    Returns:
        The names of these attributes, without the teacher.
    """
    return [
        name
        for name, value in vars(callback).items()
        if name != "teacher" and isinstance(value, nn.Module) and any(p.requires_grad for p in value.parameters())
    ]


def checked_loss(callback: Distillation, labels: Sequence[str], student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Compute the loss of a callback, and check it.

    Args:
        callback: The callback.
        labels: A name for each pair of layers.
        student: The student's features.
        teacher: The teacher's features.

    Returns:
        A scalar.

    Raises:
        LgadError: If the loss is not a scalar, or if `compute_loss` failed on features of unequal shapes.
    """
    kind = type(callback).__name__
    for label, ours, its in zip(labels, student, teacher, strict=False):
        if len(ours) != len(its):
            raise LgadError(
                f"{label}: the student's layer saw {len(ours)} images, but there are {len(its)} targets. The step runs"
                " the network on other images than the batch holds (a part of it, several views, images without"
                " labels): give label= or image= as a function of the batch, or override teacher_inputs"
            )
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
            f" {error}. Name layers of equal shapes in student_layers and teacher_layers, or adapt the features in"
            " compute_loss"
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        found = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise LgadError(f"compute_loss of {kind} returned {found}: return a scalar tensor")
    return loss.reshape(())
