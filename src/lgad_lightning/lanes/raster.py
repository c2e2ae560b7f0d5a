"""Lanes drawn as pixels: masks of single lanes and label maps."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes.lane import Lane
from lgad_lightning.lanes.spline import natural_spline

IGNORE_INDEX = 255

_FAR = 1024  # pixels outside the image at which a segment is cut
_SHIFT = 16  # fractional bits of OpenCV's fixed-point coordinates: a cut segment keeps its direction
_INT_MIN = -(2.0**31)  # what x86-64 makes of NaN and of overflow when it converts to an integer


class Patch(NamedTuple):
    """A drawn lane, cut to its bounding box.

    Attributes:
        top: First row of the box in the image.
        left: First column of the box in the image.
        mask: `(h, w)` uint8, 1 on the lane.
    """

    top: int
    left: int
    mask: NDArray[np.uint8]


def draw_lane(points: NDArray[np.floating], image_size: tuple[int, int], width: int) -> Patch:
    """Draw a lane as the official CULane evaluator does: spline, rounding half to even, thick segments.

    OpenCV releases differ in how they draw thick lines that cross the border of the canvas, so the canvas that OpenCV
    gets holds all of the lane, and is cropped to the image afterwards.

    Args:
        points: `(N, 2)` x and y in pixels of the image, at least two points; may lie outside.
        image_size: Height and width of the image in pixels.
        width: Thickness of the line in pixels.

    Returns:
        The part inside the image; its mask is empty where there is none.

    Example:
        >>> patch = draw_lane(np.array([[2, 1], [2, 8]]), (10, 6), width=1)
        >>> patch.mask.sum(axis=1).tolist()
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    height, columns = image_size
    pixels = np.rint(natural_spline(points)).astype(np.float64)
    pixels[~(np.abs(pixels) < -_INT_MIN).all(axis=1)] = _INT_MIN
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    if (low >= -_FAR).all() and (high < [columns + _FAR, height + _FAR]).all():
        changed = np.empty(len(pixels), dtype=bool)
        changed[-1] = True
        np.any(pixels[1:] != pixels[:-1], axis=1, out=changed[:-1])
        pieces = [np.concatenate([pixels[:1], pixels[changed]])]  # 2 points or more: OpenCV draws no single one
    else:
        segments = _cut(pixels, image_size)
        if not len(segments):
            return Patch(0, 0, np.zeros((0, 0), dtype=np.uint8))
        pieces = list(segments)
        low, high = segments.min(axis=(0, 1)), segments.max(axis=(0, 1))

    margin = width // 2 + 2
    left, top = (np.floor(low).astype(int) - margin).tolist()
    right, bottom = (np.ceil(high).astype(int) + margin + 1).tolist()
    canvas = np.zeros((bottom - top, right - left), dtype=np.uint8)
    fixed = [np.rint((piece - [left, top]) * 2**_SHIFT).astype(np.int32) for piece in pieces]
    cv2.polylines(canvas, fixed, isClosed=False, color=1, thickness=width, shift=_SHIFT)
    inside = canvas[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(columns - left, 0)]
    return Patch(max(top, 0), max(left, 0), inside)


def _cut(pixels: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """The `(n, 2, 2)` segments of a polyline, cut at a frame far outside the image (Liang and Barsky)."""
    start, step = pixels[:-1], np.diff(pixels, axis=0)
    low = np.array([-_FAR, -_FAR])
    high = np.array([image_size[1] + _FAR, image_size[0] + _FAR])
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = (low - start) / step, (high - start) / step
    standing = step == 0  # parallel to an edge: wholly within its two borders or wholly without
    within = (start >= low) & (start <= high)
    enter = np.where(standing, 0.0, np.minimum(to_low, to_high)).max(axis=1, initial=0.0)
    leave = np.where(standing, 1.0, np.maximum(to_low, to_high)).min(axis=1, initial=1.0)
    kept = (enter <= leave) & (within | ~standing).all(axis=1)
    ends = np.stack([enter, leave], axis=1)[kept]
    segments: NDArray[np.float64] = start[kept, None] + ends[:, :, None] * step[kept, None]
    return segments


def rasterise(slots: Sequence[Lane | None], size: tuple[int, int], width: int = 16) -> NDArray[np.uint8]:
    """Draw lanes into a label map.

    Args:
        slots: The lane of each slot, or None; slot i becomes class i + 1. Later slots cover earlier ones.
        size: Height and width of the label map; lanes are scaled from their images to it.
        width: Thickness of a lane in pixels of the label map.

    Returns:
        `(height, width)` label map, 0 for the background.

    Example:
        >>> lane = Lane([[100, 589], [100, 0]], image_size=(590, 1640))
        >>> label = rasterise([None, lane], size=(59, 164), width=1)
        >>> label.shape, label[30, 8:12].tolist()
        ((59, 164), [0, 0, 2, 0])
    """
    label = np.zeros(size, dtype=np.uint8)
    for index, lane in enumerate(slots, start=1):
        if lane is None or len(lane) < 2:
            continue
        patch = draw_lane(lane.scaled(size).points, size, width)
        rows, columns = patch.mask.shape
        label[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.mask > 0] = index
    return label
