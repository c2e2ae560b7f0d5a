"""Computes the line in the middle of a marking from its two outlines."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.polylines import Polyline

_SAMPLES = 32  # number of points of a line for the comparison, and of a line in the middle
_MOST = 128  # lines of an image; if there are more, they stay as they are


def middle_lines(lines: Sequence[Polyline], widest: float) -> list[Polyline]:
    """Finds pairs of outlines, and computes the line in the middle of each. A line without a partner stays as it is.

    The annotation does not say which outlines belong together. Here, the two nearest lines are a pair, then the two
    nearest of the others, and so on. The distance of two lines is the mean distance from the points of one to the
    other, for the direction where it is larger. So a short dash is far from a long line beside it. The middle line has
    the means of the points at equal shares of the two lengths.

    Args:
        lines: The outlines, in pixels.
        widest: The largest distance of a pair, in pixels.

    Example:
        >>> middle_lines([[[0, 0], [0, 62]], [[4, 62], [4, 0]], [[90, 0], [90, 62]]], widest=10)[0][:2]
        [[2.0, 62.0], [2.0, 60.0]]
    """
    usable = [place for place, line in enumerate(lines) if len(line) > 1]
    if len(usable) > _MOST:
        return list(lines)
    sampled = {place: _sampled(lines[place]) for place in usable}
    near = [(_distance(sampled[one], sampled[other]), one, other) for one, other in combinations(usable, 2)]
    partners: dict[int, int] = {}
    for distance, one, other in sorted(near):
        if distance <= widest and not {one, other} & partners.keys():
            partners |= {one: other, other: one}
    found = []
    for place, line in enumerate(lines):
        if place not in partners:
            found.append(line)
        elif place < partners[place]:
            found.append(((sampled[place] + sampled[partners[place]]) / 2).tolist())
    return found


def _sampled(line: Polyline) -> NDArray[np.float64]:
    """`(32, 2)` points at equal distances along a line. They begin at its lower end."""
    points = np.array(line, np.float64)
    if (points[0, 1], points[0, 0]) < (points[-1, 1], points[-1, 0]):
        points = points[::-1]
    along = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    places = np.linspace(0, along[-1], _SAMPLES)
    return np.column_stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)])


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The mean distance from the points of a line to the nearest of the other. The larger of both directions."""
    gaps = np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1))
    return float(max(gaps.min(axis=0).mean(), gaps.min(axis=1).mean()))
