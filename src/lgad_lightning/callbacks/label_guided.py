from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.batch_items import label_of
from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.label_values import check_label_values, classes_of
from lgad_lightning.lanes import IGNORE_INDEX


class LabelGuided(AttentionTransfer):
    """The base of the callbacks that use the label map.

    Args:
        teacher: See `FeatureDistillation`.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: See `AttentionTransfer`.
        ignore_index: The value of ignored pixels in the label. None if there is no such value.
        **kwargs: The other arguments of `AttentionTransfer`.
    """

    def __init__(
        self,
        teacher: nn.Module | None,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        ignore_index: int | None = IGNORE_INDEX,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        self.ignore_index = ignore_index

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Return the label map of the batch, found by `label_of`.

        Returns:
            Only the label map, `(B, H, W)`, a copy, because the step may change the batch. Ignored pixels are 255.
        """
        label = label_of(batch, self.label).clone()
        if self.ignore_index in (None, IGNORE_INDEX):
            return (label,)
        return (torch.where(label == self.ignore_index, IGNORE_INDEX, label.long()),)

    @override
    def facts(
        self, inputs: tuple[Any, ...], student_features: list[Tensor], teacher_features: list[Tensor]
    ) -> list[str]:
        """Add the values of the labels to the line at the start of a fit."""
        label: Any = inputs[0]
        values = [f"labels of {label.min():g} to {label.max():g}"] if isinstance(label, Tensor) else []
        return [*super().facts(inputs, student_features, teacher_features), *values]

    @override
    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Refuse labels with values that cannot be classes, and warn if there is only background.

        Raises:
            LgadError: If a value cannot be a class. The message names the values.
        """
        ignored = None if self.ignore_index is None else IGNORE_INDEX
        look_at_labels(self, inputs[0], self.teacher, ignored, self.ignore_index)


def look_at_labels(
    callback: FeatureDistillation, label: Any, teacher: nn.Module | None, ignored: int | None, ignore_index: int | None
) -> None:
    """Refuse labels with values that cannot be classes, and warn if the first batches hold only background.

    Args:
        callback: The active callback.
        label: The label maps, `(B, H, W)`. Others are not checked.
        teacher: A network that is given them, if there is one.
        ignored: The value of ignored pixels in `label`.
        ignore_index: Their value in the batch, for the messages.

    Raises:
        LgadError: If a value cannot be a class. The message names the values.
    """
    fit, kind = callback.running, type(callback).__name__
    if not isinstance(label, Tensor) or label.ndim != 3:
        return
    found = check_label_values(label, ignored, classes_of(teacher), "the teacher")
    fit.lanes = fit.lanes or found != "empty"
    if fit.looked == callback.looks and not fit.lanes:
        fit.warn_once(
            "empty label",
            f"{kind}: the labels of the first {callback.looks} batches hold nothing but background (0) and ignored"
            f" pixels ({ignore_index}), so the distillation has no lane to use. If the lanes are {IGNORE_INDEX}, set"
            " label= to a function of the batch that returns 1 for them, or set another ignore_index=",
        )
    if found == "void":
        fit.warn_once(
            "void label",
            f"{kind}: the labels hold {int(label.max())}, which counts as a lane. If it is the value of ignored pixels,"
            " set ignore_index= to it",
        )
