"""Keeps layers that only the distillation uses in the graph while its weight is 0."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lgad_lightning.features import depends_on


def anchor(loss: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Connect a loss with features that it does not depend on, so that their gradient is zero instead of None.

    DDP waits for a gradient of every parameter, and raises an error if one does not come.

    Args:
        loss: The loss of one process.
        features: Outputs of layers.

    Returns:
        The same value. If the loss already depends on all features with gradient, the same tensor is returned.

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> anchor(torch.ones((), requires_grad=True) * 3, [2 * weight]).backward()
        >>> weight.grad
        tensor([0., 0.])
    """
    unused = [feature for feature in features if feature.requires_grad and not depends_on(loss, [feature])]
    anchored: Tensor = _Anchor.apply(loss, *unused) if unused else loss  # type: ignore[no-untyped-call]
    return anchored


class _Anchor(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, loss: Tensor, *features: Tensor) -> Tensor:
        ctx.like = [(feature.shape, feature.dtype, feature.device) for feature in features]
        return loss.view_as(loss)

    @staticmethod
    @override
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        zeros = (torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in ctx.like)
        return (*gradients, *zeros)
