"""Draws images, label maps, attention maps, and grids of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.longwork.whole_file import write_whole

if TYPE_CHECKING:
    from torch import Tensor

Picture = NDArray[Any]
"""RGB pixels, `(height, width, 3)`, uint8."""

_WIDTH, _GAP, _HEADER = 280, 6, 26
_PAPER, _INK = (250, 250, 250), (40, 40, 48)
_IGNORED = (150, 150, 150)
COLOURS = np.array([(230, 85, 65), (60, 170, 110), (60, 120, 220), (240, 180, 50), (160, 95, 200), (60, 190, 200)])
"""A colour (red, green, blue) for each class after the background. After the last one, they repeat."""


def draw_image(image: Tensor) -> Picture:
    """Draw an image. Its normalisation does not matter: the darkest percent becomes black, the brightest white.

    Args:
        image: `(C, H, W)`. The first three channels are shown, or the only one.

    Returns:
        A picture 280 pixels wide.
    """
    pixels = _resized(image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1), "bilinear")
    low, high = np.percentile(pixels, (1, 99))
    picture: Picture = (255 * np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    return picture


def draw_label(image: Tensor, label: Tensor) -> Picture:
    """Draw a label map in colours over the image, which is dark grey.

    Args:
        image: See `draw_image`.
        label: The class of each pixel, `(H', W')`, which may be another size. 0 is the background. 255 is ignored and
            drawn in light grey.

    Returns:
        A picture 280 pixels wide.
    """
    grey = draw_image(image).mean(2, keepdims=True) / 2 + 30
    classes = _resized(label[None], "nearest-exact", grey.shape[:2]).astype(int)
    colours = np.where(classes == IGNORE_INDEX, _IGNORED, COLOURS[(classes[..., 0] - 1) % len(COLOURS)])
    picture: Picture = np.where(classes > 0, colours, grey).astype(np.uint8)
    return picture


def draw_attention(attention: Tensor, size: tuple[int, int] | None = None) -> Picture:
    """Draw the square root of an attention map, from dark to bright. Without the root, most cells would be black.

    Args:
        attention: A map, `(H, W)`, non-negative.
        size: Height and width of the picture. By default, it is 280 pixels wide.

    Returns:
        A picture.
    """
    return colour_attention(_resized(attention[None].sqrt(), "bilinear", size)[..., 0])


def colour_attention(values: NDArray[Any]) -> Picture:
    """Colour values from dark to bright: the lowest is black, the highest is yellow.

    Args:
        values: `(H, W)`, finite, for example roots of an attention map.

    Returns:
        A picture of the same size.
    """
    scaled = (255 * (values - values.min()) / max(float(np.ptp(values)), 1e-12)).astype(np.uint8)
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(256, 3)
    picture: Picture = scale[scaled, ::-1]
    return picture


def draw_grid(columns: dict[str, list[Picture]]) -> Picture:
    """Put pictures into columns with titles.

    Args:
        columns: A list of pictures for each title. All lists have the same length, all pictures the same size.

    Returns:
        One picture.

    Example:
        >>> import torch
        >>> draw_grid({"left": [draw_image(torch.rand(3, 8, 16))], "right": [draw_attention(torch.rand(2, 4))]}).shape
        (172, 572, 3)
    """
    half = _GAP // 2
    rows = [
        np.hstack([np.pad(cell, ((half, half), (half, half), (0, 0)), constant_values=_PAPER[0]) for cell in row])
        for row in zip(*columns.values(), strict=True)
    ]
    header = np.full((_HEADER, rows[0].shape[1], 3), _PAPER, dtype=np.uint8)
    for index, title in enumerate(columns):
        corner = index * (_WIDTH + _GAP) + half, 18
        cv2.putText(header, title, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return np.vstack([header, *rows])


def write_picture(path: str | Path, picture: Picture) -> None:
    """Write a PNG file. It is never half written.

    Args:
        path: The file. A missing folder is made.
        picture: The picture.
    """
    write_whole(Path(path), png_of(picture))


def png_of(picture: Picture) -> bytes:
    """Return the content of a PNG file with a picture."""
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()


def _resized(planes: Tensor, mode: str, size: tuple[int, ...] | None = None) -> NDArray[Any]:
    # Not with OpenCV: its threads stay in this process, and a data worker that is forked later would hang.
    import torch.nn.functional as F  # slow to import, and not needed for `colour_attention`

    height, width = planes.shape[-2:]
    planes = planes.detach().float().cpu()[None]
    size = size or (round(_WIDTH * height / width), _WIDTH)
    resized: NDArray[Any] = F.interpolate(planes, size, mode=mode, antialias=mode == "bilinear")[0].numpy()
    return resized.transpose(1, 2, 0)
