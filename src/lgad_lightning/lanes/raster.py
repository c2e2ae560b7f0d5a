"""Draws lanes as pixels: masks of single lanes and label maps."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes.lane import Lane
from lgad_lightning.lanes.spline import natural_spline

IGNORE_INDEX = 255

_SHIFT = 16  # fractional bits of OpenCV's fixed-point coordinates, which are 32 bits wide
_FAR = 16384  # pixels from the origin at which segments are cut, so that they fit into these bits
_NEAREST = 2.0  # pixels of the image between two points of a drawn lane
_INT_MIN = -(2.0**31)  # the result on x86-64 when it converts NaN or too large values to an integer


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

    The canvas is the part of the image around the lane: it ends where the image ends if the lane reaches the border.

    Args:
        points: `(N, 2)` x and y in pixels of the image, at least two points; may lie outside.
        image_size: Height and width of the image in pixels.
        width: Thickness of the lines in pixels, as OpenCV counts it.

    Returns:
        The part inside the image. Its mask is empty if nothing is inside.

    Example:
        >>> patch = draw_lane(np.array([[2, 1], [2, 8]]), (10, 6), width=1)
        >>> patch.mask.sum(axis=1).tolist()
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    pixels = _whole_pixels(natural_spline(points))
    (x, y), (last_y, last_x) = pixels, (image_size[0] - 1, image_size[1] - 1)
    inside = (x >= 0) & (x <= last_x) & (y >= 0) & (y <= last_y)
    inner = inside[:-1] & inside[1:]

    margin = width // 2 + 2
    outer = np.flatnonzero(~inner)
    crossing = np.stack([pixels[:, outer], pixels[:, outer + 1]]).astype(np.float64)  # (2 ends, 2 axes, segments)
    low, high = crossing.min(axis=0) - margin, crossing.max(axis=0) + margin
    crossing = crossing[:, :, (high >= 0).all(axis=0) & (low[0] <= last_x) & (low[1] <= last_y)]
    drawn = np.concatenate([pixels[:, inside], *crossing], axis=1)
    if not drawn.size:
        return Patch(0, 0, np.zeros((0, 0), dtype=np.uint8))

    left, top = np.maximum(drawn.min(axis=1) - margin, 0).astype(int).tolist()
    right, bottom = np.minimum(drawn.max(axis=1) + margin, [last_x, last_y]).astype(int).tolist()
    canvas = np.zeros((bottom - top + 1, right - left + 1), dtype=np.uint8)
    turns = np.flatnonzero(np.diff(inner, prepend=False, append=False)).reshape(-1, 2).tolist()
    runs = [(pixels[:, start : stop + 1].T - [left, top]).astype(np.int32) for start, stop in turns]
    cv2.polylines(canvas, runs, isClosed=False, color=1, thickness=width)
    if crossing.size:
        _draw_crossing(canvas, crossing.transpose(2, 0, 1) - [left, top], width)
    return Patch(top, left, canvas)


def _whole_pixels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounds to `(2, N)` x and y, half to even, without repeats. At least two stay: OpenCV draws no single point."""
    pixels = np.ascontiguousarray(np.rint(samples).T)
    if not np.abs(pixels).max() < -_INT_MIN:
        pixels[:, ~(np.abs(pixels) < -_INT_MIN).all(axis=0)] = _INT_MIN
    x, y = pixels
    kept = np.ones(len(x), dtype=bool)
    kept[1:-1] = (x[1:-1] != x[:-2]) | (y[1:-1] != y[:-2])
    return pixels.compress(kept, axis=1)


def _draw_crossing(canvas: NDArray[np.uint8], segments: NDArray[np.float64], width: int) -> None:
    """Draw `(N, 2, 2)` segments that begin or end outside the canvas, as OpenCV before 4.13 does.

    Newer releases first cut such a thick line and get other pixels along its edges. All releases draw the parts of a
    line equally: a rectangle, whose edges are cut one by one, and a disc at each end.
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


def apart(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop points that are nearer than 2 pixels to the one before, as CULane's generator of masks does.

    A spline through such points, for example of a double click, can swing far off. The ends are kept.

    Args:
        points: `(N, 2)` x and y in pixels of the image.

    Example:
        >>> apart(np.array([[0.0, 90], [9, 60], [9.5, 60], [20, 30], [20, 29]])).tolist()
        [[0.0, 90.0], [9.0, 60.0], [20.0, 29.0]]
    """
    if len(points) < 3 or (np.hypot(*np.diff(points, axis=0).T) >= _NEAREST).all():
        return points
    kept = [0]
    for index, point in enumerate(points):
        if np.hypot(*(point - points[kept[-1]])) >= _NEAREST:
            kept.append(index)
    if kept[-1] != len(points) - 1:
        kept = [*kept[: max(len(kept) - 1, 1)], len(points) - 1]
    return points[kept]


def rasterise(slots: Sequence[Lane | None], size: tuple[int, int], width: int = 16) -> NDArray[np.uint8]:
    """Draw lanes into a label map.

    Args:
        slots: The lane of each slot, or None; slot i becomes class i + 1. Later slots cover earlier ones. Points nearer
            than 2 pixels to the one before are left out, and so are lanes with fewer than two points.
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
        if lane is None:
            continue
        points = Lane(apart(lane.points), lane.image_size).scaled(size).points.astype(np.float32)
        points = points[np.append((np.diff(points, axis=0) != 0).any(axis=1), True)[: len(points)]]
        if len(points) < 2:
            continue
        patch = draw_lane(points, size, width)
        rows, columns = patch.mask.shape
        label[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.mask > 0] = index
    return label
