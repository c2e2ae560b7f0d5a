"""Targets and losses that the studies compare with LGAD's own. What wins moves into the package."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from typing_extensions import override

from lgad_lightning import LabelGuidedAttentionDistillation
from lgad_lightning.attention import attention_agreement, attention_map, normalise_attention, resize_attention
from lgad_lightning.callbacks import InterRegionAffinityDistillation, LabelAttention
from lgad_lightning.callbacks.label_guided import LabelGuided
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.losses import segmentation_loss


class FloorlessLGAD(LabelGuidedAttentionDistillation):
    """LGAD whose maps begin at zero: the smallest value of each map, which all cells share, is taken away."""

    @override
    def _maps(self, features: list[Tensor]) -> list[Tensor]:
        return [maps - maps.amin((1, 2), keepdim=True) for maps in super()._maps(features)]


class BalancedLGAD(LabelGuidedAttentionDistillation):
    """LGAD with `balanced=True`, which moved into the package after it was tried under this name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, balanced=True, **kwargs)


class MixedLGAD(LabelGuidedAttentionDistillation):
    """LGAD whose target is a mixture of the label map and the teacher's attention, each of unit norm.

    Args:
        alpha: The label's share, in [0, 1].
        **kwargs: The arguments of LGAD.
    """

    def __init__(self, *args: Any, alpha: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alpha = alpha

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        (label,) = inputs
        lanes = ((label > 0) & (label != IGNORE_INDEX)).float()
        return [self._mixed(features, lanes) for features in super().target_features(fit, inputs, student_features)]

    def _mixed(self, features: Tensor, lanes: Tensor) -> Tensor:
        teacher = attention_map(features, self.power, self.reduction)
        drawn = resize_attention(lanes, (teacher.shape[-2], teacher.shape[-1]))
        target = self.alpha * normalise_attention(drawn) + (1 - self.alpha) * normalise_attention(teacher)
        return target[:, None].clamp_min(0).pow(1 / self.power)


class HandoverLGAD(MixedLGAD):
    """LGAD whose target is the teacher's attention at the start of the training, and the label map at its end."""

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        trainer = fit.module.trainer
        self.alpha = trainer.global_step / trainer.estimated_stepping_batches
        return super().target_features(fit, inputs, student_features)


class CorrelatedLGAD(LabelGuidedAttentionDistillation):
    """LGAD that raises the correlation of the two maps, so that a floor common to all cells does not matter."""

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        losses = []
        for student, teacher in zip(student_features, teacher_features, strict=True):
            maps = (attention_map(side, self.power, self.reduction) for side in (student, teacher))
            losses.append(1 - attention_agreement(*maps).mean())
        return torch.stack(losses).sum()


class Regional(LabelGuided):
    """Says which lane is which, beside attention. Attention does not say it, because it adds up the channels.

    In each stage, the student imitates how similar the features are in the regions of two lanes (IntRA-KD).

    Args:
        affinity: Factor of this part. With the default weight of LGAD, a third gives the 0.1 of IntRA-KD.
        **kwargs: The arguments of the distillation.
    """

    def __init__(self, *args: Any, affinity: float = 1 / 3, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.affinity = affinity
        self.regions = InterRegionAffinityDistillation(nn.Identity(), label=self.label)
        self.lanes = torch.empty(0)

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        self.regions.teacher_inputs(batch)
        (label,) = super().teacher_inputs(batch)
        lanes = torch.where(label == IGNORE_INDEX, 0, label.long())
        self.lanes = F.one_hot(lanes).permute(0, 3, 1, 2).float()
        return (label,)

    def of_regions(self, teacher_features: list[Tensor]) -> list[Tensor]:
        """The features whose similarity between regions is imitated."""
        return teacher_features

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        related = self.regions.compute_loss(student_features, self.of_regions(teacher_features))
        return super().compute_loss(student_features, teacher_features) + self.affinity * related


class RegionalLGAD(Regional, LabelGuidedAttentionDistillation):
    """LGAD that also says which lane is which, by the features of the teacher."""


class RegionalByLabel(Regional):
    """Says it by the label map. Lanes resemble one another there, too: a region has some road around its lane."""

    @override
    def of_regions(self, teacher_features: list[Tensor]) -> list[Tensor]:
        return [self.lanes] * len(teacher_features)


class RegionalControl(RegionalByLabel, LabelAttention):
    """The control that also says which lane is which."""


class MixedRegionalLGAD(RegionalByLabel, MixedLGAD):
    """LGAD under a mixture of teacher and label, which also says which lane is which."""


class DeepSupervision(LabelAttention):
    """A control without attention: each stage gets a 1 x 1 head of its own, which must predict the label map.

    Args:
        num_classes: Number of classes with the background.
        **kwargs: The arguments of `LabelAttention`.
    """

    default_name = "deep_supervision"

    def __init__(self, *args: Any, num_classes: int = 5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_classes = num_classes

    @override
    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module:
        return nn.ModuleList(nn.Conv2d(shape[1], self.num_classes, 1) for shape in student_shapes)

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        return [inputs[0][:, None]] * len(fit.pairs)

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        losses = []
        for head, features, label in zip(self.trainable, student_features, teacher_features, strict=True):
            logits = F.interpolate(head(features), label.shape[-2:], mode="bilinear")
            losses.append(segmentation_loss(logits, label[:, 0].long()))
        return torch.stack(losses).sum()

    @override
    def figures(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> dict[str, Tensor]:
        return {}
