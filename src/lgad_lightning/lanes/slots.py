"""Assigns lanes to classes by the rules of the two protocols, and mirrors them left to right."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes.lane import Lane

CULANE_SLOTS = 4
TUSIMPLE_SLOTS = 6


def culane_slots(lanes: Sequence[Lane]) -> list[Lane | None]:
    """Assign lanes to the four slots of CULane: left-left, ego-left, ego-right, right-right.

    This is the rule of the data set's own label generator. Its pixel distances are scaled from 1640 x 590 to the image.

    Args:
        lanes: The lanes of one image, in any order.

    Returns:
        Four lanes or None. These are left out: lanes with fewer than two usable points, the later one of two lanes that
        are less than 120 px apart on average, and lanes beyond the four slots.

    Example:
        >>> left = Lane([[300, 589], [600, 300]], (590, 1640))
        >>> right = Lane([[1300, 589], [1000, 300]], (590, 1640))
        >>> culane_slots([right, left]) == [None, left, right, None]
        True
    """
    kept: list[Lane] = []
    for lane in lanes:
        if len(_usable(lane)) >= 2 and all(_distance(lane, other) >= 120 / 1640 * lane.image_size[1] for other in kept):
            kept.append(lane)
    kept.sort(key=_x_at_bottom)

    slots: list[Lane | None] = [None] * CULANE_SLOTS
    ego_right = _first_right(kept)
    for slot, index in enumerate(range(ego_right - 2, ego_right + 2)):
        if 0 <= index < len(kept):
            slots[slot] = kept[index]
    return slots


def _first_right(lanes: list[Lane]) -> int:
    """Returns the index of the ego-right lane among lanes in order from the left. If all are left: their number."""
    if len(lanes) >= 3:
        slopes = [_slope(lane) for lane in lanes]
        for index, (left, right) in enumerate(pairwise(slopes), start=1):
            if left <= 0 < right:
                return index
    if len(lanes) == 2:
        return 1
    return next((i for i, lane in enumerate(lanes) if _x_at_bottom(lane) > lane.image_size[1] / 2), len(lanes))


def _usable(lane: Lane) -> NDArray[np.float64]:
    """The lane's points from the bottom up, without those that are too near to the one before (2 px, or 1 row)."""
    points = lane.points[np.argsort(-lane.points[:, 1], kind="stable")]
    usable: list[NDArray[np.float64]] = []
    for point in points:
        if not usable or (np.hypot(*(point - usable[-1])) >= 2 and usable[-1][1] - point[1] >= 1):
            usable.append(point)
    return np.array(usable).reshape(-1, 2)


def _x_at_bottom(lane: Lane) -> float:
    """Column where the straight line fitted to the lane meets the lower border of the image."""
    x, y = lane.points.T
    slope, intercept = np.polyfit(y, x, 1)
    return float(slope * lane.image_size[0] + intercept)


def _slope(lane: Lane) -> float:
    """dx/dy of the lane's two lowest points; positive for a lane on the right."""
    (x0, y0), (x1, y1) = _usable(lane)[:2]
    return float((x1 - x0) / (y1 - y0))


def _distance(lane: Lane, other: Lane) -> float:
    """Mean distance of two lanes in x over the rows that both have, infinite if they share none."""
    height = lane.image_size[0]
    rows = np.arange(height, height * 240 / 590, -height / 59)
    gap = np.abs(lane.x_at(rows) - other.x_at(rows))
    shared = np.isfinite(gap)
    return float(gap[shared].mean()) if shared.any() else np.inf


def tusimple_slots(lanes: Sequence[Lane], num_slots: int = TUSIMPLE_SLOTS) -> list[Lane | None]:
    """Assign lanes to slots around the middle by their slope, as the label generators for TuSimple do.

    Args:
        lanes: The lanes of one image, in any order.
        num_slots: Even number of slots, half of them on either side. With 6, ego-left is the third.

    Returns:
        Lanes or None, from left to right. Lanes with fewer than two points and those beyond the slots are left out.

    Example:
        >>> left = Lane([[600, 300], [300, 700]], (720, 1280))
        >>> right = Lane([[700, 300], [1000, 700]], (720, 1280))
        >>> tusimple_slots([right, left]) == [None, None, left, right, None, None]
        True
    """
    angles = sorted(
        ((angle, index) for index, lane in enumerate(lanes) if (angle := _angle(lane)) is not None),
    )
    left = [lanes[index] for angle, index in angles if angle <= 90]
    right = [lanes[index] for angle, index in angles if angle > 90]
    half = num_slots // 2
    left, right = left[-half:], right[:half]
    return [None] * (half - len(left)) + left + right + [None] * (half - len(right))


def _angle(lane: Lane) -> float | None:
    """Direction from the lane's upper end to its lower end in degrees; below 90 it leans to the left."""
    if len(lane) < 2:
        return None
    points = lane.points[np.argsort(lane.points[:, 1], kind="stable")]
    (x_top, y_top), (x_bottom, y_bottom) = points[0], points[-1]
    return float(np.degrees(np.arctan2(y_bottom - y_top, x_top - x_bottom)))


def flip_slots(slots: Sequence[Lane | None]) -> list[Lane | None]:
    """Mirror the lanes of an image left to right: each lane, and the order of the slots.

    Args:
        slots: Lane of each slot, or None, from left to right.

    Example:
        >>> flip_slots([Lane([[0, 5]], (10, 20)), None])
        [None, Lane([[19.0, 5.0]], image_size=(10, 20))]
    """
    return [None if lane is None else lane.flipped() for lane in reversed(slots)]


def flip_label(label: NDArray[np.uint8], num_slots: int) -> NDArray[np.uint8]:
    """Mirror a label map left to right: the pixels, and the order of the classes.

    Args:
        label: `(H, W)` classes; 0 (background) and those above `num_slots` (ignored pixels) keep their value.
        num_slots: Number of lane classes; class c becomes `num_slots + 1 - c`.

    Example:
        >>> flip_label(np.array([[1, 0, 255]], dtype=np.uint8), num_slots=4).tolist()
        [[255, 0, 4]]
    """
    table = np.arange(256, dtype=np.uint8)
    table[1 : num_slots + 1] = table[num_slots:0:-1].copy()
    return table[label[:, ::-1]]
