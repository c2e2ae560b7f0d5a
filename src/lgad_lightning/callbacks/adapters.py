"""Makes features with unequal channels or sizes comparable."""

from torch import Size, Tensor, nn
from torch.nn import functional as F


def channel_adapters(student_shapes: list[Size], teacher_shapes: list[Size], always: bool = False) -> nn.ModuleList:
    """Make 1x1 convolutions that bring the student's features to the teacher's number of channels.

    Args:
        student_shapes: Shapes `(B, C, H, W)` of the student's features.
        teacher_shapes: Shapes `(B, C', H', W')` of the teacher's features.
        always: Whether to make a convolution even if both numbers of channels are equal.

    Returns:
        One module for each pair. It is `nn.Identity` if no convolution is needed.

    Example:
        >>> len(channel_adapters([Size((1, 4, 8, 8))], [Size((1, 6, 8, 8))]))
        1
    """
    channels = [(student[1], teacher[1]) for student, teacher in zip(student_shapes, teacher_shapes, strict=True)]
    return nn.ModuleList(
        nn.Conv2d(inner, outer, 1) if always or inner != outer else nn.Identity() for inner, outer in channels
    )


def resized_to(features: Tensor, like: Tensor) -> Tensor:
    """Resize features bilinearly to the height and width of another tensor.

    Args:
        features: `(B, C, H, W)`.
        like: `(..., H', W')`.

    Returns:
        `(B, C, H', W')`. If the size is already right, the same tensor is returned.

    Example:
        >>> import torch
        >>> resized_to(torch.ones(1, 2, 8, 8), torch.ones(4, 4)).shape
        torch.Size([1, 2, 4, 4])
    """
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return F.interpolate(features, like.shape[-2:], mode="bilinear", antialias=True)
