"""Whether the distillation pulls at the student with a sensible force."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor


class GradientRatios:
    """The distillation's gradient over the task's at features of the student, measured in the backward pass.

    Args:
        labels: Names for the features.
        features: Outputs `(B, C, H, W)` of the student's layers, in the graph of the loss.
        gradients: The weighted distillation loss's gradient with respect to each of `features` alone.
        loss: The weighted distillation loss that joins the task's.

    After the backward pass `ratios` holds a norm ratio for each label. Where a shallower layer precedes a deeper one,
    what the deeper one's distillation sends back through it counts as the task's.
    """

    def __init__(
        self, labels: Sequence[str], features: Sequence[Tensor], gradients: Sequence[Tensor | None], loss: Tensor
    ) -> None:
        self.ratios: dict[str, Tensor] = {}
        self._scale: Tensor | None = None
        if loss.requires_grad:
            loss.register_hook(self._see_scale)  # type: ignore[no-untyped-call]
        for label, feature, gradient in zip(labels, features, gradients, strict=True):
            if feature.requires_grad and gradient is not None:
                feature.register_hook(partial(self._compare, label, gradient.float()))  # type: ignore[no-untyped-call]

    def _see_scale(self, gradient: Tensor) -> None:
        self._scale = gradient  # what Lightning, a gradient scaler or the user multiplied the loss by

    def _compare(self, label: str, distillation: Tensor, total: Tensor) -> None:
        if self._scale is not None:
            task = total.float() / self._scale - distillation
            self.ratios[label] = distillation.norm() / task.norm()
