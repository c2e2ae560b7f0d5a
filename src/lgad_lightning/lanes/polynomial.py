"""Fits a smooth curve to the points of a lane."""

import numpy as np
from numpy.typing import ArrayLike

from lgad_lightning.lanes.lane import Lane


def smoothed(lane: Lane, rows: ArrayLike | None = None, degree: int = 3) -> Lane:
    """Fits a polynomial x(y) to a lane's points and returns it as a lane.

    A lane with several points in a row, as `MaskDecoder` finds where a lane lies across the image, is fitted as y(x) if
    `rows` is None.

    Args:
        lane: A lane as a decoder returns it: whole pixels, a point in each row of a grid.
        rows: y in pixels where it is evaluated. Rows above and below the lane are left out. None: every row from the
            lane's first point to its last, or every column of a lane that is fitted as y(x).
        degree: Degree of the polynomial. It is at most the number of rows (columns) with points, minus 1.

    Example:
        >>> smoothed(Lane([[10, 90], [14, 70], [16, 60]], (100, 200)), rows=[95, 80], degree=1).points.round(2).tolist()
        [[12.0, 80.0]]
    """
    if len(lane) < 2:
        return lane
    x, y = lane.points.T
    across = rows is None and lies_across(lane)
    if across:
        x, y = y, x
    low, high = y.min(), y.max()
    if rows is None:
        step = 1 if y[-1] >= y[0] else -1
        rows = np.arange(y[0], y[-1] + step / 2, step)
    wanted = np.array(rows, dtype=np.float64)
    wanted = wanted[(wanted >= low) & (wanted <= high)]
    curve = np.polynomial.Polynomial.fit(y, x, min(degree, len(np.unique(y)) - 1))
    columns = (wanted, curve(wanted)) if across else (curve(wanted), wanted)
    return Lane(np.column_stack(columns), lane.image_size)


def lies_across(lane: Lane) -> bool:
    """Check whether a lane lies across the image: it has several points in one row, and is given by its columns.

    Args:
        lane: Any lane.

    Example:
        >>> lies_across(Lane([[10, 50], [20, 50], [30, 51]], (100, 200)))
        True
    """
    x, y = lane.points.T
    return len(np.unique(y)) < min(len(y), len(np.unique(x)))
