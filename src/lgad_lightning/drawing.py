"""Pictures out of tensors: photographs, label maps over them, attention maps, and a grid of all that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.longwork.whole_file import whole_file

if TYPE_CHECKING:
    from torch import Tensor

Picture = NDArray[Any]
"""RGB pixels, `(height, width, 3)`, uint8."""

_WIDTH, _GAP, _HEADER = 280, 6, 26
_PAPER, _INK = (250, 250, 250), (40, 40, 48)
_IGNORED = (150, 150, 150)
COLOURS = np.array([(230, 85, 65), (60, 170, 110), (60, 120, 220), (240, 180, 50), (160, 95, 200), (60, 190, 200)])
"""One (red, green, blue) for each class after the background, and round again."""


def draw_image(image: Tensor) -> Picture:
    """Draw an image however it was normalised: its darkest and brightest percent become black and white.

    Args:
        image: `(C, H, W)`, of which the first three channels are shown, or the only one.

    Returns:
        A picture 280 pixels wide.
    """
    pixels = _resized(image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1), "bilinear")
    low, high = np.percentile(pixels, (1, 99))
    picture: Picture = (255 * np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    return picture


def draw_label(image: Tensor, label: Tensor) -> Picture:
    """Draw a label map in colours over the image in dark grey.

    Args:
        image: See `draw_image`.
        label: Classes of the pixels, `(H, W)`; 0 is the background, 255 is ignored and drawn in light grey.

    Returns:
        A picture 280 pixels wide.
    """
    grey = draw_image(image).mean(2, keepdims=True) / 2 + 30
    classes = _resized(label[None], "nearest-exact").astype(int)
    colours = np.where(classes == IGNORE_INDEX, _IGNORED, COLOURS[(classes[..., 0] - 1) % len(COLOURS)])
    picture: Picture = np.where(classes > 0, colours, grey).astype(np.uint8)
    return picture


def draw_attention(attention: Tensor) -> Picture:
    """Draw an attention map from dark to bright by the square root: one strong cell would leave the rest black.

    Args:
        attention: A map, `(H, W)`, non-negative.

    Returns:
        A picture 280 pixels wide.
    """
    return colour_attention(_resized(attention[None].sqrt(), "bilinear")[..., 0])


def colour_attention(values: NDArray[Any]) -> Picture:
    """Colour values from dark to bright, the lowest black and the highest yellow.

    Args:
        values: `(H, W)`, finite; roots of an attention map.

    Returns:
        A picture of the same size.
    """
    scaled = (255 * (values - values.min()) / max(float(np.ptp(values)), 1e-12)).astype(np.uint8)
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(256, 3)
    picture: Picture = scale[scaled, ::-1]
    return picture


def draw_grid(columns: dict[str, list[Picture]]) -> Picture:
    """Put pictures in columns under their titles.

    Args:
        columns: As many pictures, all of one size, for each title.

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
    """Write a PNG file, whole or not at all.

    Args:
        path: The file; its folder is made if need be.
        picture: What to write.
    """
    with whole_file(Path(path)) as part:
        part.write_bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())


def _resized(planes: Tensor, mode: str) -> NDArray[Any]:
    # Not by OpenCV: the threads that it would keep in this process hang a data worker that is forked later.
    import torch.nn.functional as F  # slow, and not needed to colour what was drawn before

    height, width = planes.shape[-2:]
    planes = planes.detach().float().cpu()[None]
    size = round(_WIDTH * height / width), _WIDTH
    resized: NDArray[Any] = F.interpolate(planes, size, mode=mode, antialias=mode == "bilinear")[0].numpy()
    return resized.transpose(1, 2, 0)
