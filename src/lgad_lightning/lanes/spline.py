"""The curve that the CULane protocol lays through a lane's points."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dptsv

STEPS = 50


def natural_spline(points: NDArray[np.floating], steps: int = STEPS) -> NDArray[np.float32]:
    """Samples of the natural cubic spline through points, parametrised by chord length.

    The spline of the official CULane evaluator: x(t) and y(t) apart, second derivatives zero at the ends, in double
    precision over single-precision points, with single-precision samples.

    Args:
        points: `(N, 2)` x and y. Fewer than three points come back as they are.
        steps: Samples of each segment.

    Returns:
        `((N - 1) * steps + 1, 2)` samples, the last point included. Where two successive points are equal the spline
        is undefined: all samples but the last are NaN, as the official evaluator has it.

    Example:
        >>> natural_spline(np.array([[0, 0], [1, 2], [2, 4]]), steps=2).tolist()
        [[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [1.5, 3.0], [2.0, 4.0]]
    """
    points = points.astype(np.float32)
    if len(points) < 3:
        return points
    delta = np.diff(points, axis=0).astype(np.float64)
    length = np.sqrt((delta**2).sum(axis=1))
    samples = np.empty((len(delta) * steps + 1, 2), dtype=np.float32)
    samples[-1] = points[-1]
    if not length.all() or not np.isfinite(length).all():
        samples[:-1] = np.nan
        return samples

    slope = delta / length[:, None]
    diagonal, beside, bend = np.ones(len(points)), np.zeros(len(delta)), np.zeros((len(points), 2))
    diagonal[1:-1] = 2 * (length[:-1] + length[1:])
    beside[1:-1] = length[1:-1]
    bend[1:-1] = 6 * np.diff(slope, axis=0)
    second = dptsv(diagonal, beside, bend)[2]  # second derivatives

    h = length[:, None]
    linear = slope - h * (2 * second[:-1] + second[1:]) / 6
    cubic = np.diff(second, axis=0) / (6 * h)
    t = (h * (np.arange(steps) / steps))[:, :, None]
    curve = points[:-1, None] + t * (linear[:, None] + t * (second[:-1, None] / 2 + t * cubic[:, None]))
    samples[:-1] = curve.reshape(-1, 2)
    return samples
