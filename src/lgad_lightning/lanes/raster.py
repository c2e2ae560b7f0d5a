"""Lanes drawn as pixels: masks of single lanes and label maps."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes.lane import Lane
from lgad_lightning.lanes.spline import natural_spline

IGNORE_INDEX = 255

_SHIFT = 16  # fractional bits of OpenCV's fixed-point coordinates, which are 32 bits wide
_FAR = 16384  # pixels beyond the origin at which a segment is cut, to fit into them
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

    Args:
        points: `(N, 2)` x and y in pixels of the image, at least two points; may lie outside.
        image_size: Height and width of the image in pixels.
        width: Thickness of the lines in pixels, as OpenCV counts it.

    Returns:
        The part inside the image; its mask is empty where there is none.

    Example:
        >>> patch = draw_lane(np.array([[2, 1], [2, 8]]), (10, 6), width=1)
        >>> patch.mask.sum(axis=1).tolist()
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    pixels = np.rint(natural_spline(points)).astype(np.float64)
    pixels[~(np.abs(pixels) < -_INT_MIN).all(axis=1)] = _INT_MIN
    changed = np.ones(len(pixels), dtype=bool)
    changed[1:-1] = (pixels[1:-1] != pixels[:-2]).any(axis=1)  # the last point stays: a line needs two
    pixels = pixels[changed]

    margin = width // 2 + 2
    border = np.array([image_size[1] - 1, image_size[0] - 1])
    low = np.minimum(pixels[:-1], pixels[1:]) - margin
    high = np.maximum(pixels[:-1], pixels[1:]) + margin
    visible = (high >= 0).all(axis=1) & (low <= border).all(axis=1)
    if not visible.any():
        return Patch(0, 0, np.zeros((0, 0), dtype=np.uint8))
    left, top = np.maximum(low[visible].min(axis=0), 0).astype(int).tolist()
    right, bottom = np.minimum(high[visible].max(axis=0), border).astype(int).tolist()
    canvas = np.zeros((bottom - top + 1, right - left + 1), dtype=np.uint8)
    pixels -= [left, top]

    inner = (low >= 0).all(axis=1) & (high <= border).all(axis=1)
    turns = np.flatnonzero(np.diff(inner, prepend=False, append=False))
    runs = [pixels[start : stop + 1].astype(np.int32) for start, stop in zip(turns[::2], turns[1::2], strict=True)]
    cv2.polylines(canvas, runs, isClosed=False, color=1, thickness=width)
    crossing = visible & ~inner
    if crossing.any():
        _draw_crossing(canvas, np.stack([pixels[:-1], pixels[1:]], axis=1)[crossing], width)
    return Patch(top, left, canvas)


def _draw_crossing(canvas: NDArray[np.uint8], segments: NDArray[np.float64], width: int) -> None:
    """Draw `(N, 2, 2)` segments that cross the border of the canvas as OpenCV before 4.13 does.

    `cv2.line` cuts thick lines at the border, and not the same way in all releases. They agree on the parts of which
    it makes a line: a rectangle, whose edges are cut one by one, and a disc at either end.
    """
    if np.abs(segments).max() > _FAR:
        segments = _cut(segments)
    along = segments[:, 1] - segments[:, 0]
    length = np.hypot(along[:, :1], along[:, 1:])
    half = (width + width % 2) / 2 * 2**_SHIFT
    across = np.rint(along[:, ::-1] * [1, -1] * (half / np.maximum(length, 1e-9)))
    corners = np.rint(segments * 2**_SHIFT)[:, [0, 0, 1, 1]] + across[:, None] * np.array([[1], [-1], [-1], [1]])
    ends = np.rint(segments).astype(int).tolist()
    for rectangle, (first, last) in zip(corners.astype(np.int32), ends, strict=True):
        if width == 1:
            cv2.line(canvas, first, last, 1)
            continue
        cv2.fillConvexPoly(canvas, rectangle, 1, shift=_SHIFT)
        for centre in (first, last):
            cv2.circle(canvas, centre, (width + 1) // 2, 1, cv2.FILLED)


def _cut(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut `(N, 2, 2)` segments to a large square around the origin, by Liang and Barsky's method."""
    start, step = segments[:, 0], segments[:, 1] - segments[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = np.sort([(-_FAR - start) / step, (_FAR - start) / step], axis=0)
    standing = step == 0  # parallel to a side of the square
    within = np.abs(start) <= _FAR
    enter = np.where(standing, 0.0, bounds[0]).max(axis=1, initial=0.0)
    leave = np.where(standing, 1.0, bounds[1]).min(axis=1, initial=1.0)
    kept = (enter < leave) & (within | ~standing).all(axis=1)
    ends = np.stack([enter, leave], axis=1)[kept]
    cut: NDArray[np.float64] = start[kept, None] + ends[:, :, None] * step[kept, None]
    return cut


def rasterise(slots: Sequence[Lane | None], size: tuple[int, int], width: int = 16) -> NDArray[np.uint8]:
    """Draw lanes into a label map.

    Args:
        slots: The lane of each slot, or None; slot i becomes class i + 1. Later slots cover earlier ones.
        size: Height and width of the label map; lanes are scaled from their images to it.
        width: Thickness of a lane in pixels of the label map, as OpenCV counts it.

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
