from collections.abc import Sequence
from typing import Any

from torch import Size, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.callbacks.adapters import channel_adapters, resized_to
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.errors import LgadError


class ChannelWiseDistillation(FeatureDistillation):
    """Channel-wise distillation (Shu et al., ICCV 2021) compares where in the image each channel is active.

    A softmax makes the map of each channel a distribution over the image. The loss is the Kullback-Leibler divergence
    between the distributions of teacher and student, averaged over channels and batch, times the squared temperature.
    It works with inner features or logits. If the numbers of channels differ, 1x1 convolutions are trained with the
    student.

    Args:
        teacher: See `FeatureDistillation`.
        student_layers: See `FeatureDistillation`. To distil logits, give the name of the network.
        teacher_layers: See `FeatureDistillation`.
        weight: Factor of the loss. The paper uses 50 for features and 3 for logits.
        temperature: Divides the activations before the softmax.
        **kwargs: The other arguments of `FeatureDistillation`.

    Example:
        >>> callback = ChannelWiseDistillation(nn.Conv2d(3, 8, 1), ["net.layer3"], ["stage3"], temperature=4.0)
        >>> callback.trainable_modules([Size([2, 64, 18, 50])], [Size([2, 128, 36, 100])])  # trained beside the student
        ModuleList(
          (0): Conv2d(64, 128, kernel_size=(1, 1), stride=(1, 1))
        )
    """

    default_name = "channel_wise"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 3.0,
        temperature: float = 4.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        if temperature <= 0:
            raise LgadError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature

    @override
    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module:
        """Make a 1x1 convolution for each pair with unequal numbers of channels.

        Returns:
            The adapters, in order.
        """
        return channel_adapters(student_shapes, teacher_shapes)

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the divergences of all pairs."""
        losses = []
        for adapter, student, teacher in zip(
            self.trainable.children(), student_features, teacher_features, strict=True
        ):
            losses.append(channel_divergence(adapter(student), teacher, self.temperature))
        return self.added_up(losses)


def channel_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compare where in the image each channel is active, with Kullback-Leibler divergences.

    Args:
        student: Features or logits `(B, C, H, W)`.
        teacher: Features or logits `(B, C, H', W')`; they are resized to the student's size.
        temperature: Divides both before the softmax over the image.

    Returns:
        The mean over channels and batch, times the squared temperature; a float32 scalar.
    """
    student = student.float()
    ours, its = (maps.flatten(2) / temperature for maps in (student, resized_to(teacher.float(), student)))
    divergence = F.kl_div(ours.log_softmax(2), its.log_softmax(2), reduction="none", log_target=True)
    return temperature**2 * divergence.sum(2).mean()
