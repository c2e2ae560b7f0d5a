"""Prints what a study has found so far, as Markdown: each arm, and its differences seed by seed.

python -m studies.tables studies/generated.yaml
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from lgad_lightning import LgadError
from lgad_lightning.comparison import compare, median_steps, steps_until, summarise
from studies.study import Study, read_rows, read_study

FIGURES = {
    "f1": "test F1",
    "iou": "test lane IoU",
    "best": "best validation F1",
    "early": "validation F1 after a third of the steps",
}
"""The figures of a run, by key. Arms are chosen by those of the validation, not by the test."""

Figures = dict[str, dict[Any, float]]
"""By arm and seed, or, over several conditions, by arm and (condition, seed)."""
Curve = list[tuple[int, float]]
"""Steps, each with its figure."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY.yaml")
    try:
        for path in parser.parse_args().studies:
            study = read_study(path)
            for condition in dict.fromkeys(job.condition for job in study.jobs):
                print("\n".join(condition_lines(study, condition)), end="\n\n")
    except LgadError as error:
        sys.exit(f"studies: {error}")


def condition_lines(study: Study, condition: str) -> list[str]:
    """The tables of one condition; arms without runs are left out."""
    lines = []
    for key, name in FIGURES.items():
        if arms := list(figures_of(study, condition, key)):
            against = [arm for arm in study.compare_with if arm in arms]
            lines += [f"**{study.name}, {condition}: {name}**", "", *table(study, condition, [key], arms, against), ""]
    return [*lines, *together_lines(study, condition), *speed_lines(study, condition)]


def table(study: Study, condition: str, keys: Sequence[str], arms: Sequence[str], against: Sequence[str]) -> list[str]:
    """A row for each arm: its mean (deviation), and its differences seed by seed: mean [95 % interval], p.

    Args:
        study: The study.
        condition: One of its conditions, or several with `+` between them, whose pairs are then put together.
        keys: Figures of `FIGURES`, from the left.
        arms: Arms that have runs, from the top.
        against: The arms that these are compared with.
    """
    header, rows, one = ["arm"], [[arm] for arm in arms], "run" if "+" in condition else "seed"
    for key in keys:
        figures = figures_of(study, condition, key)
        header += [FIGURES[key], *(f"difference to {other}" for other in against)]
        for arm, cells in zip(arms, rows, strict=True):
            cells[0] = f"{arm} ({len(figures[arm])} {one}{'s' * (len(figures[arm]) > 1)})"
            cells += [spread(figures[arm]), *differences(arm, figures, against)]
    return [row(header), row(["---"] * len(header)), *map(row, rows)]


def figures_of(study: Study, condition: str, key: str) -> Figures:
    """A figure of each run of a condition, by arm and seed; of several conditions with `+` between them."""
    found: Figures = defaultdict(dict)
    if "+" in condition:
        for part in condition.split("+"):
            for arm, figures in figures_of(study, part, key).items():
                found[arm] |= {(part, seed): figure for seed, figure in figures.items()}
    elif key in CURVE_FIGURES:
        for (arm, seed), curve in curves_of(study, condition).items():
            found[arm][seed] = CURVE_FIGURES[key](curve)
    else:
        for line in rows_of(study, condition):
            found[line["arm"]][int(line["seed"])] = float(line[key])
    return {arm: found[arm] for arm in dict.fromkeys(job.arm for job in study.jobs) if arm in found}


def rows_of(study: Study, condition: str) -> list[dict[str, str]]:
    """The results of a condition that were made with the overrides that the study has now."""
    wanted = {(job.arm, str(job.seed), " ".join(job.overrides)) for job in study.jobs if job.condition == condition}
    lines = [line for line in read_rows(study.results) if line["condition"] == condition]
    return [line for line in lines if (line["arm"], line["seed"], line["overrides"]) in wanted]


def together_lines(study: Study, condition: str) -> list[str]:
    """Whether the two figures of the test agree which run is better."""
    by_figure = [figures_of(study, condition, key) for key in ("f1", "iou")]
    f1, iou = ([run for arm in arms.values() for _, run in sorted(arm.items())] for arms in by_figure)
    if len(f1) < 3:
        return []
    found = stats.spearmanr(f1, iou).statistic  # of ranks, so that an outlier counts little
    return [f"Test F1 and lane IoU of {len(f1)} runs: correlation of their ranks {found:.3f}", ""]


def spread(figures: dict[Any, float]) -> str:
    """Mean and standard deviation."""
    mean, deviation, *_ = summarise(list(figures.values()))
    return f"{mean:.3f}" if len(figures) == 1 else f"{mean:.3f} ({deviation:.3f})"


def differences(arm: str, arms: Figures, against: Sequence[str]) -> list[str]:
    """The cells of an arm's differences; those that are established are in bold. Two seeds give no interval."""
    cells = []
    for other in against:
        if other == arm or not arms[arm].keys() & arms.get(other, {}).keys():
            cells.append("")
            continue
        found = compare(arms[arm], arms[other])
        mean = f"**{found.mean:+.3f}**" if found.established and found.seeds > 2 else f"{found.mean:+.3f}"
        interval = f" [{found.low:+.3f}, {found.high:+.3f}], {found.p_text}" if found.seeds > 2 else ""
        cells.append(mean + interval)
    return cells


def curves_of(study: Study, condition: str) -> dict[tuple[str, int], Curve]:
    """Steps and validation F1 of each arm and seed."""
    runs = {(line["arm"], line["seed"]) for line in rows_of(study, condition)}
    curves: dict[tuple[str, int], Curve] = defaultdict(list)
    for line in read_rows(study.curves):
        if line["condition"] == condition and (line["arm"], line["seed"]) in runs and line["f1"]:
            curves[line["arm"], int(line["seed"])].append((int(line["step"]), float(line["f1"])))
    return curves


def best(curve: Curve) -> float:
    """The figure of the checkpoint that is tested."""
    return max(figure for _, figure in curve)


def early(curve: Curve) -> float:
    """The figure where a third of the training is done."""
    third = curve[-1][0] / 3
    return min(curve, key=lambda point: abs(point[0] - third))[1]


CURVE_FIGURES: dict[str, Callable[[Curve], float]] = {"best": best, "early": early}


def speed_lines(study: Study, condition: str) -> list[str]:
    """At which step each arm reaches in validation what the first arm to compare with ends at, seed by seed."""
    curves = curves_of(study, condition)
    if not curves or not study.compare_with:
        return []
    baseline = study.compare_with[0]
    reached: dict[str, list[int | None]] = defaultdict(list)
    for (arm, seed), curve in curves.items():
        if (baseline, seed) in curves:
            goal = max(figure for _, figure in curves[baseline, seed])
            reached[arm].append(steps_until([step for step, _ in curve], [figure for _, figure in curve], goal))
    header = ["arm", f"steps until the best validation F1 of {baseline}: median", "never"]
    lines = [row(header), row(["---"] * 3)]
    for arm, steps in reached.items():
        middle = median_steps(steps)
        lines.append(row([arm, "-" if middle is None else str(middle), f"{steps.count(None)} of {len(steps)}"]))
    return lines


def row(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
