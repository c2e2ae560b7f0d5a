from torch import Size, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.callbacks.adapters import channel_adapters, resized_to
from lgad_lightning.callbacks.distillation import FeatureDistillation


class FitNets(FeatureDistillation):
    """FitNets (Romero et al., ICLR 2015): the student's features imitate the teacher's features.

    For each pair, a 1x1 convolution adapts the student's features. It is trained with the student, but is not part of
    it. If the sizes differ, the teacher's features are resized.

    Args:
        teacher: See `FeatureDistillation`. All other arguments are also described there.

    Example:
        >>> callback = FitNets(nn.Conv2d(3, 8, 1), ["net.layer2"], ["stage2"])
        >>> callback.trainable_modules([Size([2, 32, 36, 100])], [Size([2, 64, 36, 100])])  # trained beside the student
        ModuleList(
          (0): Conv2d(32, 64, kernel_size=(1, 1), stride=(1, 1))
        )
    """

    default_name = "fitnets"

    @override
    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module:
        """Make one 1x1 convolution for each pair of layers.

        Returns:
            The convolutions, in order.
        """
        return channel_adapters(student_shapes, teacher_shapes, always=True)

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the mean squared differences of all pairs."""
        losses = []
        for hint, student, teacher in zip(self.trainable.children(), student_features, teacher_features, strict=True):
            adapted = hint(student).float()
            losses.append(F.mse_loss(adapted, resized_to(teacher.float(), adapted)))
        return self.added_up(losses)
