"""Turns masks back into lanes: the middle of the painted pixels, row by row."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes.lane import Lane

_SPACING = 10 / 590  # distance of two rows with a point, as a share of the height, as in CULane's annotations
_SMALLEST = 1 / 80  # smallest size of a lane in a mask without slots, as a share of the image's diagonal
_MOST = 64  # largest number of such lanes in an image; the largest lanes are kept


def trace_lane(mask: NDArray[np.bool_]) -> Lane | None:
    """Finds the lane that is painted in a mask: the mean column of its pixels in every 59th part of the height.

    The first and the last painted row get a point too. A lane that is more than twice as wide as high is traced column
    by column instead. Rows without painted pixels get no point, so the dashes of a line make one lane.

    Args:
        mask: `(H, W)` true where the lane is.

    Returns:
        The lane from the bottom up, or from the right if it is traced column by column. None if it is painted in fewer
        than two rows and columns.

    Example:
        >>> trace_lane(np.eye(4, dtype=bool)).points.tolist()
        [[3.0, 3.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    """
    return _trace(mask, (mask.shape[0], mask.shape[1]))


def _trace(window: NDArray[np.bool_], image_size: tuple[int, int], left: int = 0, top: int = 0) -> Lane | None:
    """Finds the lane in a part of a mask, whose first pixel is that at `left` and `top` of the mask."""
    rows, columns = np.flatnonzero(window.any(axis=1)), np.flatnonzero(window.any(axis=0))
    if max(len(rows), len(columns)) < 2:
        return None
    lying = np.ptp(columns) > 2 * np.ptp(rows)
    used, first = (columns, left) if lying else (rows, top)
    step = max(1, round(image_size[0] * _SPACING))
    chosen = used[((used + first) % step == 0) | (used == used[0]) | (used == used[-1])][::-1]
    strips = window.T[chosen] if lying else window[chosen]
    across = strips @ np.arange(strips.shape[1], dtype=np.float64) / np.count_nonzero(strips, axis=1)
    points = np.column_stack([chosen, across] if lying else [across, chosen])
    return Lane(points + np.array([left, top]), image_size)


def trace_slots(label: NDArray[np.uint8], num_slots: int) -> list[Lane | None]:
    """Finds the lane of each slot of a label map.

    Args:
        label: `(H, W)` classes: 0 background, then the slots. Other classes are left out.
        num_slots: Number of slots.

    Example:
        >>> label = np.zeros((59, 164), np.uint8)
        >>> label[:, 80:83] = 2
        >>> [lane and lane.points[0].tolist() for lane in trace_slots(label, 2)]
        [None, [81.0, 58.0]]
    """
    present = np.bincount(label.ravel(), minlength=256)
    return [trace_lane(label == slot) if present[slot] else None for slot in range(1, num_slots + 1)]


def trace_parts(mask: NDArray[np.bool_]) -> list[Lane]:
    """Finds the lanes of a mask that has only lane and background: one for each connected part.

    Parts smaller than 1/80 of the image's diagonal are left out. If there are more than 64, only the largest 64 are
    kept. Each dash of a broken line is a separate lane.

    Args:
        mask: `(H, W)` true where a lane is.

    Returns:
        The lanes, the one with most pixels first.

    Example:
        >>> mask = np.zeros((59, 164), bool)
        >>> mask[:, 20:22] = mask[:, 100:105] = True
        >>> [lane.points[0].tolist() for lane in trace_parts(mask)]
        [[102.0, 58.0], [20.5, 58.0]]
    """
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    least = float(np.hypot(*mask.shape)) * _SMALLEST
    order: Sequence[int] = np.argsort(-boxes[1:count, cv2.CC_STAT_AREA], kind="stable").tolist()
    lanes: list[Lane] = []
    for part in order:
        left, top, width, height = boxes[part + 1, :4].tolist()
        if len(lanes) == _MOST:
            break
        if max(width, height) < least:
            continue
        window = parts[top : top + height, left : left + width] == part + 1
        if (lane := _trace(window, (mask.shape[0], mask.shape[1]), left, top)) is not None:
            lanes.append(lane)
    return lanes
