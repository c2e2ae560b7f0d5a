"""Finds the layout of a layer's output: `(B, C, H, W)`, `(B, H, W, C)` or tokens `(B, N, C)`."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from lgad_lightning.errors import LgadError

Layout = Literal["nchw", "nhwc"] | Sequence[int]
"""The order of the axes; for tokens, the height and width of their grid."""

_CONVOLVING = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d)


def channels_first(
    features: Tensor, size: tuple[int, int] | None, layer: nn.Module, name: str, layout: Layout | None = None
) -> Tensor:
    """Convert features to `(B, C, H, W)`. If the layout is not given, it is found by the size of the input.

    Args:
        features: The output of a layer: `(B, C, H, W)`, `(B, H, W, C)`, or tokens `(B, N, C)` row by row. Tokens before
            those of the grid (such as a class token) are removed: one token, or any number if `layout` is given.
        size: Height and width of the input of the network. None if it is not known.
        layer: The layer. If both layouts fit, a layer without `LayerNorm` and `Linear` has the channels first. So has a
            layer of convolutions alone, whatever fits.
        name: The name of the layer in messages.
        layout: The layout, or the height and width of the grid, if known.

    Returns:
        The same values as `(B, C, H, W)`.

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
        raise LgadError(f"the output of {name} is a tensor of shape {tuple(features.shape)}, not (B, C, H, W)")
    if layout is None:
        layout = _layout(features, size, layer, name)
    elif not isinstance(layout, str):
        layout = _layout_of(features, layout, name)
    return features.permute(0, 3, 1, 2) if layout == "nhwc" else features


def size_of_inputs(inputs: Sequence[Any]) -> tuple[int, int] | None:
    """Return the size of the images or label maps that a network is called with.

    Args:
        inputs: The positional arguments of the network.

    Returns:
        Height and width of the first tensor `(B, C, H, W)` or `(B, H, W)`. None if there is none.

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
    if size is not None and not fits((first, second), size):
        return "nchw"
    if size is not None and not fits((second, third), size):
        return "nchw" if _only_convolves(layer) else "nhwc"  # strides may be unequal
    if any(isinstance(inner, nn.LayerNorm | nn.Linear) for inner in layer.modules()):
        raise LgadError(
            f"the output of {name} is {tuple(features.shape)}, which may be (B, C, H, W) or (B, H, W, C) for an input"
            f" {_of(size)}: give layout='nchw' or layout='nhwc'"
        )
    return "nchw"


def _only_convolves(layer: nn.Module) -> bool:
    """Whether a layer is a convolution, or a sequence of convolutions, norms, poolings and activations."""
    parts = [part for part in layer.modules() if not isinstance(part, nn.Sequential)]
    others = [part for part in parts if not isinstance(part, _CONVOLVING)]
    return len(others) < len(parts) and all(
        type(part).__module__ in (nn.ReLU.__module__, nn.Dropout.__module__) for part in others
    )


def _layout_of(features: Tensor, grid: Sequence[int], name: str) -> Literal["nchw", "nhwc"]:
    first, last = list(features.shape[2:]) == list(grid), list(features.shape[1:3]) == list(grid)
    if first == last:
        raise LgadError(
            f"the output of {name} is {tuple(features.shape)}, so layout={grid!r} is not clear: give layout='nchw' or"
            " 'nhwc'"
        )
    return "nchw" if first else "nhwc"


def _grid(tokens: Tensor, size: tuple[int, int] | None, name: str, layout: Layout | None) -> tuple[int, int]:
    count = tokens.shape[1]
    if layout is not None and not isinstance(layout, str):
        height, width = layout
        if not height * width <= count < 2 * height * width:  # what is more than the grid are class tokens and the like
            amount = "few" if height * width > count else "many"
            raise LgadError(f"the output of {name} is {tuple(tokens.shape)}, too {amount} tokens for layout={layout!r}")
        return height, width
    found = [] if size is None else [grid for cells in (count, count - 1) for grid in _grids(cells, size)]
    exact = [grid for grid in found if size is not None and size[0] * grid[1] == size[1] * grid[0]]
    fitting = exact or found
    is_map = size is not None and fits((tokens.shape[1], tokens.shape[2]), size)
    if len(fitting) != 1 or is_map:
        fit = " or ".join(f"{height}x{width}" for height, width in fitting) or "no grid"
        also = ", but it may also be a map (B, H, W)" if is_map else ""
        raise LgadError(
            f"the output of {name} is {tuple(tokens.shape)}. As tokens (B, N, C) of an input {_of(size)}, it fits"
            f" {fit}{also}: give layout=(height, width) of the grid, or name a layer with an output (B, C, H, W)"
        )
    return fitting[0]


def _of(size: tuple[int, int] | None) -> str:
    return "of unknown size (image= says where the images are)" if size is None else f"of {size[0]}x{size[1]}"


def _grids(cells: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """All grids with this number of cells that a whole stride, rounded up or down, makes of the input's size."""
    found = set()
    for stride in range(1, min(size) + 1):
        heights, widths = ({whole // stride, -(-whole // stride)} for whole in size)
        found |= {(height, width) for height in heights for width in widths if height * width == cells}
    return sorted(found)


def fits(map_size: tuple[int, int], size: tuple[int, int]) -> bool:
    """Check whether one stride leads from the size of an input to that of a map, with a tolerance of one cell.

    Args:
        map_size: Height and width of the map.
        size: Height and width of the input.

    Example:
        >>> fits((36, 100), (288, 800)), fits((36, 90), (288, 800))
        (True, False)
    """
    strides = [(whole / (cells + 1), whole / max(cells - 1, 1e-9)) for cells, whole in zip(map_size, size, strict=True)]
    return max(low for low, _ in strides) < min(high for _, high in strides)
