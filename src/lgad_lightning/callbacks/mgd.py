from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.callbacks.adapters import channel_adapters, resized_to
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.errors import LgadError


class MaskedGenerativeDistillation(FeatureDistillation):
    """MGD (Yang et al., ECCV 2022): most cells of the student's features are hidden; the rest generates the teacher's.

    For each pair, a block of two 3x3 convolutions generates the teacher's features. If the numbers of channels differ,
    a 1x1 convolution is added before it. Both are trained with the student and are not part of it. The loss is the
    mean squared difference. (The paper sums over channels and cells, with a weight of 2e-5.)

    Args:
        teacher: See `FeatureDistillation`.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: Factor of the loss.
        masked: The share of cells that is hidden, at random in every step. The paper uses 0.75 for segmentation.
        **kwargs: The other arguments of `FeatureDistillation`.

    Example:
        >>> callback = MaskedGenerativeDistillation(nn.Conv2d(3, 8, 1), ["net.layer3"], ["stage3"], masked=0.75)
        >>> adapters, generators = callback.trainable_modules([Size([2, 64, 18, 50])], [Size([2, 128, 18, 50])])
        >>> [generator(torch.rand(2, 128, 18, 50)).shape for generator in generators]
        [torch.Size([2, 128, 18, 50])]
    """

    default_name = "mgd"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 1.0,
        masked: float = 0.75,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        if not 0 <= masked < 1:
            raise LgadError(f"masked={masked}: give a share of at least 0 and less than 1")
        self.masked = masked

    @override
    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module:
        """Make an adapter and a generator for each pair of layers.

        Returns:
            The adapters and the generators, each in the order of the pairs.
        """
        generators = nn.ModuleList(_generator(shape[1]) for shape in teacher_shapes)
        return nn.ModuleList([channel_adapters(student_shapes, teacher_shapes), generators])

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the mean squared differences between the generated and the teacher's features."""
        adapters, generators = (part.children() for part in self.trainable.children())
        losses = []
        for adapter, generator, student, teacher in zip(
            adapters, generators, student_features, teacher_features, strict=True
        ):
            shown = torch.rand_like(student[:, :1], dtype=torch.float32) >= self.masked
            generated = generator(adapter(student) * shown).float()
            losses.append(F.mse_loss(generated, resized_to(teacher.float(), generated)))
        return self.added_up(losses)


def _generator(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
