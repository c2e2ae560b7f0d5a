"""Where channels and cells are in a layer's output: `(B, C, H, W)`, `(B, H, W, C)` or tokens `(B, N, C)`."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from lgad_lightning.errors import LgadError

Layout = Literal["nchw", "nhwc"] | Sequence[int]
"""Where the channels are; or height and width of the map, by which tokens are laid out."""


def channels_first(
    features: Tensor, size: tuple[int, int] | None, layer: nn.Module, name: str, layout: Layout | None = None
) -> Tensor:
    """Bring features to `(B, C, H, W)`, seen by the input's height and width where the layout is not given.

    Args:
        features: A layer's output, `(B, C, H, W)`, `(B, H, W, C)`, or tokens `(B, N, C)` row by row. Tokens in front of
            the map's (a class token) are left out: one if the size of the input says so, any number if the layout does.
        size: Height and width of the network's input, None if nobody knows.
        layer: The layer: where both layouts fit, one without `LayerNorm` or `Linear` has the channels first.
        name: What to call the layer in error messages.
        layout: Where the channels are, or the map's height and width, if it is known.

    Returns:
        The same values, `(B, C, H, W)`.

    Raises:
        LgadError: If several layouts fit, or none.

    Example:
        >>> import torch
        >>> channels_first(torch.zeros(2, 8, 12, 192), (64, 96), nn.Identity(), "stage2").shape
        torch.Size([2, 192, 8, 12])
        >>> channels_first(torch.zeros(2, 97, 192), (64, 96), nn.Identity(), "block2").shape
        torch.Size([2, 192, 8, 12])
    """
    if features.ndim == 3:
        height, width = _grid(features, size, name, layout)
        cells = features[:, features.shape[1] - height * width :]
        return cells.transpose(1, 2).reshape(len(cells), -1, height, width)
    if features.ndim != 4:
        raise LgadError(f"{name} puts out a tensor of shape {tuple(features.shape)}, not (B, C, H, W)")
    if layout is None:
        layout = _layout(features, size, layer, name)
    elif not isinstance(layout, str):
        layout = _layout_of(features, layout, name)
    return features.permute(0, 3, 1, 2) if layout == "nhwc" else features


def size_of_inputs(inputs: Sequence[Any]) -> tuple[int, int] | None:
    """Tell the size of the images or label maps that a network is called with.

    Args:
        inputs: Its positional arguments.

    Returns:
        Height and width of the first `(B, C, H, W)` or `(B, H, W)` among them, None if there is none.

    Example:
        >>> import torch
        >>> size_of_inputs((torch.zeros(2, 64, 96),))
        (64, 96)
    """
    maps = (item for item in inputs if isinstance(item, Tensor) and item.ndim in (3, 4))
    first = next(maps, None)
    return None if first is None else (first.shape[-2], first.shape[-1])


def _layout(features: Tensor, size: tuple[int, int] | None, layer: nn.Module, name: str) -> Literal["nchw", "nhwc"]:
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


def _layout_of(features: Tensor, grid: Sequence[int], name: str) -> Literal["nchw", "nhwc"]:
    first, last = list(features.shape[2:]) == list(grid), list(features.shape[1:3]) == list(grid)
    if first == last:
        raise LgadError(f"{name} puts out {tuple(features.shape)} where layout={grid!r}: give layout='nchw' or 'nhwc'")
    return "nchw" if first else "nhwc"


def _grid(tokens: Tensor, size: tuple[int, int] | None, name: str, layout: Layout | None) -> tuple[int, int]:
    count = tokens.shape[1]
    if layout is not None and not isinstance(layout, str):
        height, width = layout
        if height * width > count:
            raise LgadError(f"{name} puts out {tuple(tokens.shape)}, too few tokens for layout={layout!r}")
        return height, width
    found = [] if size is None else [grid for cells in (count, count - 1) for grid in _grids(cells, size)]
    exact = [grid for grid in found if size is not None and size[0] * grid[1] == size[1] * grid[0]]
    fitting = exact or found
    if len(fitting) != 1:
        fit = " or ".join(f"{height}x{width}" for height, width in fitting) or "no grid"
        of = "of unknown size" if size is None else f"of {size[0]}x{size[1]}"
        raise LgadError(
            f"{name} puts out {tuple(tokens.shape)}; as tokens (B, N, C) of an input {of} they may be {fit}: give"
            " layout=(height, width) of the grid, or name a layer that puts out (B, C, H, W)"
        )
    return fitting[0]


def _grids(cells: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """The maps of so many cells to which a whole stride, rounded either way, leads from the input's size."""
    found = set()
    for stride in range(1, min(size) + 1):
        heights, widths = ({whole // stride, -(-whole // stride)} for whole in size)
        found |= {(height, width) for height in heights for width in widths if height * width == cells}
    return sorted(found)


def _fits(map_size: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether one stride, give or take a cell, leads from the input's size to the map's."""
    strides = [(whole / (cells + 1), whole / max(cells - 1, 1e-9)) for cells, whole in zip(map_size, size, strict=True)]
    return max(low for low, _ in strides) < min(high for _, high in strides)
