"""Whether one way of training is better than another: figures of several seeds, compared seed by seed."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lgad_lightning.errors import LgadError


class Summary(NamedTuple):
    """Figures of one arm.

    Args:
        mean: Their mean.
        deviation: Their standard deviation (n - 1); NaN for one figure.
        low: Lower end of the mean's interval; NaN for one figure.
        high: Its upper end.
        seeds: How many there are.
    """

    mean: float
    deviation: float
    low: float
    high: float
    seeds: int


class Difference(NamedTuple):
    """One arm against another, paired by seed.

    Args:
        mean: Mean of the differences; positive where the arm is higher.
        low: Lower end of its interval; NaN for one pair.
        high: Its upper end.
        p: Two-sided p-value of the exact sign-flip test: how often differences of random sign are as large.
        seeds: How many pairs there are.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    @property
    def established(self) -> bool:
        """Whether the interval excludes zero; without it nothing is called better."""
        return self.low > 0 or self.high < 0


def summarise(figures: Sequence[float], level: float = 0.95) -> Summary:
    """Mean, standard deviation, and Student's interval of the mean.

    Args:
        figures: One for each seed.
        level: How often such an interval holds the true mean.

    Raises:
        LgadError: If there are none, or one is not finite.

    Example:
        >>> summarise([0.74, 0.77, 0.72]).mean.__round__(4)
        0.7433
    """
    if not figures or not all(math.isfinite(figure) for figure in figures):
        raise LgadError(f"Only finite figures can be averaged, and at least one: {list(figures)}.")
    values = np.asarray(figures, dtype=float)
    if len(values) == 1:
        return Summary(float(values[0]), math.nan, math.nan, math.nan, 1)
    deviation = float(values.std(ddof=1))
    from scipy import stats  # slow to import, and not needed to print a help

    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
    mean = float(values.mean())
    return Summary(mean, deviation, mean - half, mean + half, len(values))


def compare(arm: Mapping[int, float], baseline: Mapping[int, float], level: float = 0.95) -> Difference:
    """The difference of two arms over the seeds that both have.

    Args:
        arm: A figure for each seed.
        baseline: Likewise, of what it is compared with.
        level: See `summarise`.

    Raises:
        LgadError: If they have no seed in common, or a figure is not finite.

    Example:
        >>> compare({1: 0.78, 2: 0.78, 3: 0.76}, {1: 0.74, 2: 0.77, 3: 0.72}).established
        False
    """
    seeds = sorted(arm.keys() & baseline.keys())
    if not seeds:
        raise LgadError("The two arms have no seed in common, so that they cannot be compared seed by seed.")
    differences = [arm[seed] - baseline[seed] for seed in seeds]
    mean, _, low, high, number = summarise(differences, level)
    return Difference(mean, low, high, _sign_flip_test(differences), number)


def steps_until(steps: Sequence[int], figures: Sequence[float], goal: float) -> int | None:
    """The first step at which a curve reaches a figure.

    Args:
        steps: Optimiser steps, ascending.
        figures: The figure at each; those that are not finite reach nothing.
        goal: The figure to reach.

    Returns:
        None if it never does.
    """
    return next((step for step, figure in zip(steps, figures, strict=True) if figure >= goal), None)


def _sign_flip_test(differences: Sequence[float]) -> float:
    if len(differences) == 1 or not any(differences):
        return 1.0
    from scipy import stats  # as above

    zeros = np.zeros(len(differences))
    found = stats.permutation_test(
        (np.asarray(differences), zeros),
        lambda one, other, axis: np.mean(one - other, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**16,  # all of them up to 16 seeds
    )
    return float(found.pvalue)
