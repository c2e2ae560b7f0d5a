"""Compares arms by a figure of the test, seed by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lgad_lightning.comparison import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    Difference,
    Summary,
    compare,
    median_steps,
    steps_until,
    summarise,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.arms import OF_LABEL_MAPS, UNDEFINED, Arm, check_same_label_maps
from lgad_lightning.reporting.run import Run


@dataclass(frozen=True)
class ArmResult:
    """An arm in a comparison.

    Args:
        arm: The arm.
        summary: Summary of the figure over its seeds. None if it has none.
        difference: Difference to the baseline, seed by seed. None for the baseline, or without a seed in common.
        scenarios: The mean difference to the baseline in each scenario.
        steps: The median of the steps after which it first reaches the baseline's best validation figure. None if most
            of its seeds never reach it, or if it is not known whether higher or lower values are better.
    """

    arm: Arm
    summary: Summary | None
    difference: Difference | None
    scenarios: dict[str, float]
    steps: int | None

    @property
    def seeds(self) -> str:
        """The number of its runs that count, as text: `3`, or `2 of 3`."""
        counted, runs = self.summary.seeds if self.summary else 0, len(self.arm.runs) + len(self.arm.others)
        return f"{counted}" if counted == runs else f"{counted} of {runs}"


@dataclass(frozen=True)
class Comparison:
    """Arms, compared by one figure.

    Args:
        figure: The figure.
        baseline: The arm that the others are compared with.
        results: All arms, in their order.
    """

    figure: str
    baseline: Arm
    results: tuple[ArmResult, ...]


def compare_arms(arms: Sequence[Arm], figure: str, baseline: str | None = None) -> Comparison:
    """Compares arms by one figure of the test.

    Args:
        arms: The arms.
        figure: `f1`, `iou`, `night/f1`, ...
        baseline: The arm that the others are compared with, by its name or a part of it. None: the first arm that has
            the figure.

    Raises:
        LgadError: If no run has the figure, if it is not defined for any run, if `baseline` does not name a single
            arm, or if the figure is one of label maps and these differ (see `check_same_label_maps`).
    """
    known = dict.fromkeys(name for arm in arms for run in arm.runs.values() for name in run.figures)
    if not known:
        raise LgadError("None of these runs is complete, so that there are no figures to compare.")
    if figure not in known:
        raise LgadError(f"No run has the figure {figure}: choose one of {', '.join(known)}.")
    if not any(arm.figures(figure) for arm in arms):
        raise LgadError(f"{figure} is not defined for any of these runs: their tests have no such lanes.")
    if figure in OF_LABEL_MAPS:
        check_same_label_maps([run for arm in arms for run in arm.runs.values()])
    base = _baseline(arms, figure, baseline)
    scenarios = sorted({name for name in known if name.endswith(f"/{figure}")})
    results = []
    for arm in arms:
        values, reference = arm.figures(figure), base.figures(figure)
        paired = arm is not base and bool(values.keys() & reference.keys())
        gaps = {}
        for name in scenarios if paired else ():
            both = arm.figures(name), base.figures(name)
            if both[0].keys() & both[1].keys():
                gaps[name.removesuffix(f"/{figure}")] = compare(*both).mean
        results.append(
            ArmResult(
                arm,
                summarise(list(values.values())) if values else None,
                compare(values, reference) if paired else None,
                gaps,
                _steps(arm, base, figure),
            )
        )
    return Comparison(figure, base, tuple(results))


def _baseline(arms: Sequence[Arm], figure: str, name: str | None) -> Arm:
    if name is None:
        return next(arm for arm in arms if arm.figures(figure))
    exact = [arm for arm in arms if arm.name == name]
    found = exact or [arm for arm in arms if name in arm.name]
    if len(found) != 1:
        raise LgadError(f"{name!r} is the name of {len(found)} arms; there are: {', '.join(arm.name for arm in arms)}.")
    if not found[0].figures(figure):
        raise LgadError(f"The baseline, {found[0].name}, has no complete run for which {figure} is defined.")
    return found[0]


def _steps(arm: Arm, base: Arm, figure: str) -> int | None:
    name = figure.rpartition("/")[2]
    if name not in HIGHER_IS_BETTER + LOWER_IS_BETTER:
        return None
    sign = -1 if name in LOWER_IS_BETTER else 1
    found: list[int | None] = []
    for seed in arm.runs.keys() & base.runs.keys():
        curve, reference = (_validations(one.runs[seed], figure) for one in (arm, base))
        if curve and reference:
            goal = max(sign * value for value in reference.values())
            found.append(steps_until(list(curve), [sign * value for value in curve.values()], goal))
    middle = median_steps(found)
    return None if middle is None else middle + 1


def _validations(run: Run, figure: str) -> dict[int, float]:
    """The figure of each validation by step, where it is defined."""
    curve = run.curves().get(f"val/{figure}", [])
    return {step: value for step, value in curve if math.isfinite(value) and value != UNDEFINED}
