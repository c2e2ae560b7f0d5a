"""Compares ways of training (arms) seed by seed, to find out whether one is better."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from lgad_lightning.errors import LgadError

HIGHER_IS_BETTER = (
    "iou", "existence_accuracy", "f1", "precision", "recall", "tp", "accuracy", "pixel_iou", "image_recall", "image_iou"
)  # fmt: skip
"""The figures of which a higher value is better."""

LOWER_IS_BETTER = ("loss", "fp", "fn")
"""The figures of which a lower value is better. Of other figures, such as those of an own metric, neither is known."""


class Summary(NamedTuple):
    """A summary of the figures of one arm.

    Args:
        mean: The mean of the figures.
        deviation: The standard deviation (n - 1). NaN for one figure.
        low: The lower end of the interval of the mean. NaN for one figure.
        high: The upper end of the interval. NaN for one figure.
        seeds: The number of figures.
    """

    mean: float
    deviation: float
    low: float
    high: float
    seeds: int


class Difference(NamedTuple):
    """The difference between two arms, paired by seed.

    Args:
        mean: The mean of the differences. It is positive if the arm has higher figures than the baseline.
        low: The lower end of the interval of the mean. NaN for one pair.
        high: The upper end of the interval. NaN for one pair.
        p: The two-sided p-value of the exact sign-flip test: how often the mean is as large if signs are random.
            (From 17 seeds on, 65,536 random choices of signs stand for all.)
        seeds: The number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    @property
    def established(self) -> bool:
        """Whether the interval excludes zero. Only then an arm is called better.

        Differences that are all equal give an interval without width. Then p must be below .05, too.
        """
        width = self.high - self.low
        return (self.low > 0 or self.high < 0) and (width > 1e-9 * abs(self.mean) or self.p < 0.05)

    @property
    def p_text(self) -> str:
        """The p-value for people: three decimals, never `0.000`."""
        return f"{self.p:.3f}" if self.p >= 0.0005 else "<0.001"


def summarise(figures: Sequence[float], level: float = 0.95) -> Summary:
    """Computes mean, standard deviation, and Student's interval of the mean.

    Args:
        figures: A figure for each seed.
        level: The confidence level of the interval.

    Raises:
        LgadError: If there are no figures, or if one is not finite.

    Example:
        >>> summarise([0.74, 0.77, 0.72]).mean.__round__(4)
        0.7433
    """
    if not figures or not all(math.isfinite(figure) for figure in figures):
        raise LgadError(f"The mean needs at least one figure, and all must be finite: {list(figures)}.")
    values = np.asarray(figures, dtype=float)
    if len(values) == 1:
        return Summary(float(values[0]), math.nan, math.nan, math.nan, 1)
    deviation = float(values.std(ddof=1))
    from scipy import stats  # slow to import, and not needed to print a help

    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
    mean = float(values.mean())
    return Summary(mean, deviation, mean - half, mean + half, len(values))


def compare(arm: Mapping[int, float], baseline: Mapping[int, float], level: float = 0.95) -> Difference:
    """Computes the difference between two arms over the seeds that both have.

    Args:
        arm: A figure for each seed.
        baseline: A figure for each seed of the arm to compare with.
        level: See `summarise`.

    Raises:
        LgadError: If the arms have no seed in common, or if a figure is not finite.

    Example:
        >>> compare({1: 0.78, 2: 0.78, 3: 0.76}, {1: 0.74, 2: 0.77, 3: 0.72}).established
        False
    """
    seeds = sorted(arm.keys() & baseline.keys())
    if not seeds:
        raise LgadError("The two arms have no seed in common, so they cannot be compared seed by seed.")
    differences = [arm[seed] - baseline[seed] for seed in seeds]
    mean, _, low, high, number = summarise(differences, level)
    return Difference(mean, low, high, _sign_flip_test(differences), number)


def steps_until(steps: Sequence[int], figures: Sequence[float], goal: float) -> int | None:
    """Finds the first step at which a curve reaches a figure.

    Args:
        steps: Optimiser steps in ascending order.
        figures: The figure at each step. NaN does not reach the goal.
        goal: The figure to reach.

    Returns:
        The step, or None if the curve never reaches the goal.
    """
    return next((step for step, figure in zip(steps, figures, strict=True) if figure >= goal), None)


def median_steps(steps: Sequence[int | None]) -> int | None:
    """Computes the median of what `steps_until` found for several seeds.

    Args:
        steps: The steps. None: never.

    Returns:
        The median. For an even number of seeds, it is the mean of the two in the middle. None if it is never reached.

    Example:
        >>> median_steps([450, 525, 675, None]), median_steps([450, None])
        (600, None)
    """
    if not steps:
        return None
    found = median([float("inf") if step is None else step for step in steps])
    return None if found == float("inf") else round(found)


def _sign_flip_test(differences: Sequence[float]) -> float:
    if len(differences) == 1 or not any(differences):
        return 1.0
    from scipy import stats  # as above

    # Rounded, so that sums that are equal count as equal.
    scaled = np.asarray(differences) / np.abs(differences).max()
    found = stats.permutation_test(
        (scaled, np.zeros(len(differences))),
        lambda one, other, axis: np.mean(one - other, axis=axis).round(10),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**16,  # all of them up to 16 seeds
        random_state=0,
    )
    return float(found.pvalue)
