"""Prints what a study has found so far, as Markdown: each arm, and its differences seed by seed.

python -m studies.tables studies/generated.yaml
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from scipy import stats

from lgad_lightning import LgadError
from lgad_lightning.comparison import compare, median_steps, steps_until, summarise
from studies.study import Study, read_rows, read_study

FIGURES = {"f1": "F1", "iou": "lane IoU"}
Figures = dict[str, dict[int, float]]
"""By arm and seed."""
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
    tables = {f"test {name}": figures_of(study, condition, key) for key, name in FIGURES.items()}
    tables["best validation F1"] = validation_figures(study, condition, best)
    tables["validation F1 after a third of the steps"] = validation_figures(study, condition, early)
    for name, arms in tables.items():
        if not arms:
            continue
        against = [arm for arm in study.compare_with if arm in arms]
        header = ["arm", f"{name}: mean (deviation)", *(f"difference to {arm}: mean [95 %], p" for arm in against)]
        lines += [f"**{study.name}, {condition}: {name}**", "", row(header), row(["---"] * len(header))]
        for arm, figures in arms.items():
            seeds = f"{len(figures)} seed{'s' * (len(figures) > 1)}"
            lines.append(row([f"{arm} ({seeds})", spread(figures), *differences(arm, arms, against)]))
        lines.append("")
    return [*lines, *together_lines(study, condition), *speed_lines(study, condition)]


def figures_of(study: Study, condition: str, key: str) -> Figures:
    """The test figures of a condition's runs."""
    found: Figures = defaultdict(dict)
    wanted = {(job.arm, str(job.seed), " ".join(job.overrides)) for job in study.jobs if job.condition == condition}
    for line in read_rows(study.results):
        if line["condition"] == condition and (line["arm"], line["seed"], line["overrides"]) in wanted:
            found[line["arm"]][int(line["seed"])] = float(line[key])
    return {arm: found[arm] for arm in dict.fromkeys(job.arm for job in study.jobs) if arm in found}


def together_lines(study: Study, condition: str) -> list[str]:
    """Whether the two figures of the test agree which run is better."""
    by_figure = [figures_of(study, condition, key) for key in FIGURES]
    f1, iou = ([run for arm in arms.values() for _, run in sorted(arm.items())] for arms in by_figure)
    if len(f1) < 3:
        return []
    found = stats.spearmanr(f1, iou).statistic  # of ranks, so that an outlier counts little
    return [f"Test F1 and lane IoU of {len(f1)} runs: correlation of their ranks {found:.3f}", ""]


def spread(figures: dict[int, float]) -> str:
    """Mean and standard deviation."""
    mean, deviation, *_ = summarise(list(figures.values()))
    return f"{mean:.3f}" if len(figures) == 1 else f"{mean:.3f} ({deviation:.3f})"


def differences(arm: str, arms: Figures, against: list[str]) -> list[str]:
    """The cells of an arm's differences; those that are established are in bold."""
    cells = []
    for other in against:
        if other == arm or not arms[arm].keys() & arms[other].keys():
            cells.append("")
            continue
        found = compare(arms[arm], arms[other])
        mean = f"{found.mean:+.3f}"
        interval = "" if found.seeds == 1 else f" [{found.low:+.3f}, {found.high:+.3f}], {found.p:.3f}"
        cells.append(f"**{mean}**{interval}" if found.established else f"{mean}{interval}")
    return cells


def curves_of(study: Study, condition: str) -> dict[tuple[str, int], Curve]:
    """Steps and validation F1 of each arm and seed."""
    curves: dict[tuple[str, int], Curve] = defaultdict(list)
    for line in read_rows(study.curves):
        if line["condition"] == condition and line["f1"]:
            curves[line["arm"], int(line["seed"])].append((int(line["step"]), float(line["f1"])))
    return curves


def validation_figures(study: Study, condition: str, pick: Callable[[Curve], float]) -> Figures:
    """A figure of each run's validation; arms are chosen by these, not by the test."""
    found: Figures = defaultdict(dict)
    for (arm, seed), curve in curves_of(study, condition).items():
        found[arm][seed] = pick(curve)
    return {arm: found[arm] for arm in dict.fromkeys(job.arm for job in study.jobs) if arm in found}


def best(curve: Curve) -> float:
    """The figure of the checkpoint that is tested."""
    return max(figure for _, figure in curve)


def early(curve: Curve) -> float:
    """The figure where a third of the training is done."""
    third = curve[-1][0] / 3
    return min(curve, key=lambda point: abs(point[0] - third))[1]


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
