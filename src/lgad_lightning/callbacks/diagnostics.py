"""Whether the distillation pulls at the student with a sensible force."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor


class GradientRatios:
    """The distillation's gradient over the task's at features of the student, measured in the backward pass itself.

    Args:
        labels: Names for the features.
        features: Outputs `(B, C, H, W)` of the student's layers, in the graph of the loss.
        compared: Views of the same features that only the distillation loss was computed from.

    After the backward pass `ratios` holds a norm ratio for each label. Where a shallower layer precedes a deeper one,
    what the deeper one's distillation sends back through it counts as the task's.
    """

    def __init__(self, labels: Sequence[str], features: Sequence[Tensor], compared: Sequence[Tensor]) -> None:
        self.ratios: dict[str, Tensor] = {}
        self._distillation: dict[str, Tensor] = {}
        for label, feature, view in zip(labels, features, compared, strict=True):
            if feature.requires_grad:
                view.register_hook(partial(self._distillation.__setitem__, label))  # type: ignore[no-untyped-call]
                feature.register_hook(partial(self._compare, label))  # type: ignore[no-untyped-call]

    def _compare(self, label: str, total: Tensor) -> None:
        distillation = self._distillation.pop(label, None)  # none in a backward pass of the task's loss alone
        if distillation is not None:
            task = total.float() - distillation.float()
            self.ratios[label] = distillation.float().norm() / task.norm()
