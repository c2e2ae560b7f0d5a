"""From the two outlines of a marking to the line in its middle."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.polylines import Polyline

_SAMPLES = 32  # points of a line that are compared, and those of a line in the middle
_MOST = 128  # lines of an image; where there are more, they are left as they are


def middle_lines(lines: Sequence[Polyline], widest: float) -> list[Polyline]:
    """The lines in the middle of pairs of outlines; a line without a partner stays as it is.

    Which outlines belong together is not annotated. Here the two that are nearest to one another are a pair, then the
    nearest of the others, and so on. How near two lines are is the mean distance from the points of one to the other
    line, the larger one of both directions: a short dash beside a long line is far from it. The middle has the means of
    points at equal shares of the lengths.

    Args:
        lines: In pixels.
        widest: Distance above which two lines are no pair, in pixels.

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
    """`(32, 2)` points at equal distances along a line, from its lower end on."""
    points = np.array(line, np.float64)
    if (points[0, 1], points[0, 0]) < (points[-1, 1], points[-1, 0]):
        points = points[::-1]
    along = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    places = np.linspace(0, along[-1], _SAMPLES)
    return np.column_stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)])


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The mean distance from the points of one line to the nearest of the other's, the larger of both directions."""
    gaps = np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1))
    return float(max(gaps.min(axis=0).mean(), gaps.min(axis=1).mean()))
