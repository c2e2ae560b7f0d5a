"""Arms compared by a figure of the test, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from lgad_lightning.comparison import Difference, Summary, compare, steps_until, summarise
from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.arms import Arm


@dataclass(frozen=True)
class ArmResult:
    """An arm in a comparison.

    Args:
        arm: The arm.
        summary: Of the figure over its seeds; None if it has none.
        difference: To the baseline, seed by seed; None for the baseline, or without a seed in common.
        scenarios: The mean difference to the baseline in each scenario.
        steps: The median of the steps after which it first reaches the baseline's best validation figure; None if most
            of its seeds never do.
    """

    arm: Arm
    summary: Summary | None
    difference: Difference | None
    scenarios: dict[str, float]
    steps: int | None


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
        baseline: The arm that the others are compared with, by its name or a part of it; the first if None.

    Raises:
        LgadError: If no run has the figure, or no single arm is called so.
    """
    known = dict.fromkeys(name for arm in arms for run in arm.runs.values() for name in run.figures)
    if not known:
        raise LgadError("None of these runs is complete, so that there are no figures to compare.")
    if figure not in known:
        raise LgadError(f"No run has the figure {figure}: choose one of {', '.join(known)}.")
    base = _baseline(arms, baseline)
    scenarios = sorted({name for name in known if name.endswith(f"/{figure}")})
    results = []
    for arm in arms:
        values, reference = arm.figures(figure), base.figures(figure)
        paired = arm is not base and bool(values.keys() & reference.keys())
        gaps = {}
        for name in scenarios if paired else ():
            both = _defined(arm.figures(name)), _defined(base.figures(name))
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


def _defined(figures: dict[int, float]) -> dict[int, float]:
    return {seed: value for seed, value in figures.items() if value >= 0}  # -1: undefined


def _baseline(arms: Sequence[Arm], name: str | None) -> Arm:
    if name is None:
        return next(arm for arm in arms if arm.runs)
    exact = [arm for arm in arms if arm.name == name]
    found = exact or [arm for arm in arms if name in arm.name]
    if len(found) != 1:
        raise LgadError(f"{name!r} is the name of {len(found)} arms; there are: {', '.join(arm.name for arm in arms)}.")
    return found[0]


def _steps(arm: Arm, base: Arm, figure: str) -> int | None:
    found: list[int | None] = []
    for seed in arm.runs.keys() & base.runs.keys():
        curve, reference = (run.curves().get(f"val/{figure}", []) for run in (arm.runs[seed], base.runs[seed]))
        if curve and reference:
            steps, values = zip(*curve, strict=True)
            found.append(steps_until(steps, values, max(value for _, value in reference)))
    reached = sorted(step for step in found if step is not None)
    place = (len(found) - 1) // 2
    return reached[place] + 1 if found and place < len(reached) else None
