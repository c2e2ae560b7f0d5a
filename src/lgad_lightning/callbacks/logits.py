from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.callbacks.adapters import resized_to
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.errors import LgadError


class LogitsDistillation(FeatureDistillation):
    """Distillation of logits (Hinton et al., 2015), pixel by pixel, from a teacher with the same classes.

    The loss is the Kullback-Leibler divergence between the class probabilities of teacher and student, both at a
    temperature. It is averaged over pixels and batch and multiplied by the squared temperature. A single channel is the
    logit of two classes, as in binary segmentation.

    Args:
        teacher: See `FeatureDistillation`.
        student_layers: The name of the student's layer that returns the logits `(B, K, H, W)`. `["net"]` is the whole
            output of the network of that name. If an output has `logits` or `out`, this part is used.
        teacher_layers: The same for the teacher. By default `""`, its whole output.
        weight: Factor of the loss.
        temperature: Divides the logits. A higher value gives more weight to the less probable classes.
        **kwargs: The other arguments of `FeatureDistillation`.

    Example:
        >>> LogitsDistillation(nn.Conv2d(3, 5, 1), ["net"], temperature=2.0).teacher_layers
        ('',)
    """

    default_name = "logits"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str],
        teacher_layers: Sequence[str] = ("",),
        weight: float = 1.0,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        if temperature <= 0:
            raise LgadError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the divergences of all pairs."""
        losses = []
        for student, teacher in zip(student_features, teacher_features, strict=True):
            both = (student.float(), resized_to(teacher.float(), student))
            ours, its = (_of_two_classes(logits) / self.temperature for logits in both)
            divergence = F.kl_div(ours.log_softmax(1), its.log_softmax(1), reduction="none", log_target=True)
            losses.append(self.temperature**2 * divergence.sum(1).mean())
        return self.added_up(losses)


def _of_two_classes(logits: Tensor) -> Tensor:
    """Add the logit 0 of the background to a single channel. Other logits are returned as they are."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.shape[1] == 1 else logits
