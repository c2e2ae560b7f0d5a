"""Where the channels of a feature tensor are: before height and width, or after them."""

from typing import Literal

from torch import Tensor, nn

from lgad_lightning.errors import LgadError

Layout = Literal["nchw", "nhwc"]


def channels_first(
    features: Tensor, size: tuple[int, int] | None, layer: nn.Module, name: str, layout: Layout | None = None
) -> Tensor:
    """Bring features to `(B, C, H, W)`, seen by the input's height and width where the layout is not given.

    Args:
        features: A layer's output, `(B, C, H, W)` or `(B, H, W, C)`.
        size: Height and width of the network's input, None if nobody knows.
        layer: The layer: where both layouts fit, one without `LayerNorm` or `Linear` has the channels first.
        name: What to call the layer in error messages.
        layout: Where the channels are, if it is known.

    Returns:
        The same values, `(B, C, H, W)`.

    Raises:
        LgadError: If both layouts fit.

    Example:
        >>> import torch
        >>> channels_first(torch.zeros(2, 8, 12, 192), (64, 96), nn.Identity(), "stage2").shape
        torch.Size([2, 192, 8, 12])
    """
    if layout is None:
        layout = _layout(features, size, layer, name)
    return features.permute(0, 3, 1, 2) if layout == "nhwc" else features


def _layout(features: Tensor, size: tuple[int, int] | None, layer: nn.Module, name: str) -> Layout:
    _, first, second, third = features.shape
    if size is None or not _fits((first, second), size):
        return "nchw"
    if not _fits((second, third), size):
        return "nhwc"
    if any(isinstance(inner, nn.LayerNorm | nn.Linear) for inner in layer.modules()):
        raise LgadError(
            f"{name} puts out {tuple(features.shape)}, which may be (B, C, H, W) or (B, H, W, C) for an input of"
            f" {size[0]}x{size[1]}: give layout='nchw' or layout='nhwc'"
        )
    return "nchw"


def _fits(map_size: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether one stride, give or take a cell, leads from the input's size to the map's."""
    strides = [(whole / (cells + 1), whole / max(cells - 1, 1e-9)) for cells, whole in zip(map_size, size, strict=True)]
    return max(low for low, _ in strides) < min(high for _, high in strides)
