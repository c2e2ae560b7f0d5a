from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.batch_items import label_of
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.label_guided import look_at_labels
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX

_TINY = 1e-6


class InterRegionAffinityDistillation(FeatureDistillation):
    """Inter-region affinity (IntRA-KD, Hou et al., CVPR 2020) compares how similar the regions of a scene are.

    The label map says where the regions are: each class, also the background, with the pixels around it. Three vectors
    describe the features in a region: their mean, variance and skewness. For each of the three, the cosine similarities
    between all regions, `(K, K)`, of student and teacher are compared. So the two sides may differ in channels and
    size. The method was made for thin lanes, which fill few cells of a map.

    Args:
        teacher: See `FeatureDistillation`. It sees the images.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: Factor of the loss. The loss of each pair is between 0 and 4.
        margin: How many pixels around a class belong to its region.
        ignore_index: The value of ignored pixels in the label.
        **kwargs: The other arguments of `FeatureDistillation`. `label` says where the label maps are.

    Example:
        >>> callback = InterRegionAffinityDistillation(nn.Conv2d(3, 8, 1), ["net.layer3"], ["stage3"], margin=1)
        >>> images, label = torch.zeros(1, 3, 8, 8), torch.eye(8, dtype=torch.long)[None]
        >>> (seen,) = callback.teacher_inputs({"image": images, "label": label})
        >>> features = torch.rand(1, 4, 8, 8)
        >>> callback.compute_loss([features], [features])
        tensor(0.)
    """

    default_name = "inter_region"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.1,
        margin: int = 2,
        ignore_index: int | None = IGNORE_INDEX,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        if margin < 0:
            raise LgadError(f"margin={margin} must be at least 0")
        self.margin = margin
        self.ignore_index = ignore_index
        self._label: Tensor | None = None

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Return the images, and keep the label map of the step."""
        self._label = label_of(batch, self.label).clone()  # the step may change the batch
        return super().teacher_inputs(batch)

    @override
    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Check the labels as `LabelGuided` does.

        Raises:
            LgadError: If a value of the labels cannot be a class.
        """
        look_at_labels(self, self._label, None, self.ignore_index, self.ignore_index)

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the mean squared differences between the affinities of student and teacher."""
        assert self._label is not None  # `teacher_inputs` comes first
        label = self._label.long()
        if self.ignore_index is not None:
            label = torch.where(label == self.ignore_index, -1, label)
        classes = torch.arange(max(int(label.max()), 0) + 1, device=label.device)
        planes = (label[:, None] == classes.view(-1, 1, 1)).float()
        planes = F.max_pool2d(planes, 2 * self.margin + 1, stride=1, padding=self.margin)
        present = planes.amax((2, 3))
        both = present[:, :, None] * present[:, None, :]
        losses = []
        for student, teacher in zip(student_features, teacher_features, strict=True):
            squared = sum(
                (ours - its).square()
                for ours, its in zip(_affinities(student, planes), _affinities(teacher, planes), strict=True)
            )
            losses.append((both * squared).sum() / (3 * both.sum()).clamp_min(1))
        return self.added_up(losses)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_label": None}

    @override
    def _detach(self) -> None:
        super()._detach()
        self._label = None


def _affinities(features: Tensor, planes: Tensor) -> list[Tensor]:
    """Cosine similarities `(B, K, K)` between the regions, for mean, variance and skewness of their features."""
    with torch.autocast(features.device.type, enabled=False):
        cells = features.float().flatten(2).transpose(1, 2)  # (B, N, C)
        regions = F.adaptive_max_pool2d(planes, features.shape[-2:]).flatten(2)  # (B, K, N)
        regions = regions / regions.sum(2, keepdim=True).clamp_min(1)
        centre = cells.mean(1, keepdim=True).detach()  # else the differences below would lose their digits
        mean, second, third = (regions @ (cells - centre).pow(power) for power in (1, 2, 3))
        spread = (regions > 0).sum(2, keepdim=True) > 1  # one cell does not vary: what is left is rounding
        variance = spread * (second - mean.square()).clamp_min(0)
        skewness = spread * (third - 3 * mean * second + 2 * mean.pow(3)) / (variance + _TINY).pow(1.5)
        vectors = [F.normalize(moment, dim=2) for moment in (mean + centre, variance, skewness)]
        return [vector @ vector.transpose(1, 2) for vector in vectors]
