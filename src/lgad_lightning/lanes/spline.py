"""The curve through a lane's points, as in the CULane protocol."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 50


def natural_spline(points: NDArray[np.floating], steps: int = STEPS) -> NDArray[np.float32]:
    """Samples the natural cubic spline through points, parametrised by chord length.

    This is the spline of the official CULane evaluator. x(t) and y(t) are separate. Their second derivatives are zero
    at the ends. Points and samples are in single precision, and the computation between them is in double precision.

    Args:
        points: `(N, 2)` x and y. Fewer than three points are returned as they are.
        steps: Number of samples of each segment.

    Returns:
        `((N - 1) * steps + 1, 2)` samples, with the last point. If two successive points are equal, the spline is
        undefined: then all samples except the last are NaN, as in the official evaluator.

    Example:
        >>> natural_spline(np.array([[0, 0], [1, 2], [2, 4]]), steps=2).tolist()
        [[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [1.5, 3.0], [2.0, 4.0]]
    """
    points = points.astype(np.float32)
    if len(points) < 3:
        return points
    xy = points.T  # axes first: numpy is several times as fast with the long axis last
    delta = (xy[:, 1:] - xy[:, :-1]).astype(np.float64)
    h = np.sqrt(delta[0] ** 2 + delta[1] ** 2)
    samples = np.empty((2, delta.shape[1] * steps + 1), dtype=np.float32)
    samples[:, -1] = xy[:, -1]
    if not (h.all() and np.isfinite(h).all()):
        samples[:, :-1] = np.nan
        return samples.T

    slope = delta / h
    diagonal, beside, bend = np.ones(len(points)), np.zeros(len(h)), np.zeros(xy.shape)
    diagonal[1:-1] = 2 * (h[:-1] + h[1:])
    beside[1:-1] = h[1:-1]
    bend[:, 1:-1] = 6 * (slope[:, 1:] - slope[:, :-1])
    second = _dptsv()(diagonal, beside, bend.T)[2].T  # second derivatives, zero at the ends

    start, end = second[:, :-1], second[:, 1:]
    coefficients = xy[:, :-1], slope - h * (2 * start + end) / 6, start / 2, (end - start) / (6 * h)
    a, b, c, d = (each[:, :, None] for each in coefficients)
    t = h[:, None] * (np.arange(steps) / steps)
    samples[:, :-1] = (a + t * (b + t * (c + t * d))).reshape(2, -1)
    return samples.T


@cache
def _dptsv() -> Any:
    """LAPACK's solver of tridiagonal systems. Imported late, because `lgad-eval --help` should not wait for it."""
    from scipy.linalg.lapack import dptsv

    return dptsv
