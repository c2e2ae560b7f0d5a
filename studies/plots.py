"""Draws what a study has found so far: the test figures of each arm, and how each learned. Needs matplotlib.

python -m studies.plots studies/generated.yaml
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lgad_lightning import LgadError
from lgad_lightning.comparison import summarise
from studies.study import Study, read_study
from studies.tables import curves_of, figures_of

plt.rcParams |= {"svg.hashsalt": "studies", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY.yaml")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    options = parser.parse_args()
    try:
        for path in options.studies:
            study = read_study(path)
            for condition in dict.fromkeys(job.condition for job in study.jobs):
                if figures_of(study, condition, "f1"):
                    file = options.out / f"study_{study.name}_{condition}.svg"
                    draw(study, condition, file)
                    print(file)
    except LgadError as error:
        sys.exit(f"studies: {error}")


def draw(study: Study, condition: str, file: Path) -> None:
    """One picture: test F1 of each seed with mean and 95 % interval, and validation F1 over the steps.

    Args:
        study: The study.
        condition: One of its conditions.
        file: The SVG to write.
    """
    arms = figures_of(study, condition, "f1")
    size = 9, max(3.4, 0.17 * len(arms))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained", width_ratios=[3, 4])
    draw_figures(left, arms)
    draw_curves(right, study, condition)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def colour_of(number: int) -> tuple[float, float, float, float]:
    """The colour of an arm: ten colours, then their lighter kinds."""
    return plt.colormaps["tab20"](number % 10 * 2 + number // 10 % 2)


def draw_figures(axes: Axes, arms: dict[str, dict[int, float]]) -> None:
    """Each arm in a row: a dot for each seed, a bar for the mean's 95 % interval."""
    for number, figures in enumerate(arms.values()):
        found, colour = summarise(list(figures.values())), colour_of(number)
        axes.scatter(figures.values(), [number] * len(figures), s=14, color=colour, alpha=0.6)
        if found.seeds > 2:  # with two seeds it would fill the picture
            axes.plot([found.low, found.high], [number] * 2, color=colour, linewidth=1.5)
            axes.plot(found.mean, number, "|", color=colour, markersize=12)
    axes.set_yticks(range(len(arms)), [f"{arm} ({len(figures)})" for arm, figures in arms.items()])
    axes.invert_yaxis()
    axes.set_xlabel("test F1: seeds, mean, 95 % interval")


def draw_curves(axes: Axes, study: Study, condition: str) -> None:
    """Mean validation F1, with a band of one standard deviation where there are several seeds.

    Arms with less than half as many seeds as others are left out: many curves of single seeds would hide the rest.
    """
    curves: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (arm, _), curve in curves_of(study, condition).items():
        for step, figure in curve:
            curves[arm][step].append(figure)
    arms = [arm for arm in dict.fromkeys(job.arm for job in study.jobs) if arm in curves]
    most = max(len(curves[arm][step]) for arm in arms for step in curves[arm])
    for number, arm in enumerate(arms):
        steps = sorted(curves[arm])
        found = [summarise(curves[arm][step]) for step in steps]
        if 2 * found[-1].seeds < most:
            continue
        axes.plot(steps, [at.mean for at in found], color=colour_of(number), label=arm)
        if all(at.seeds > 1 for at in found):
            low, high = ([at.mean + side * at.deviation for at in found] for side in (-1, 1))
            axes.fill_between(steps, low, high, color=colour_of(number), alpha=0.15, linewidth=0)
    axes.set_xlabel("training step")
    axes.set_ylabel("validation F1")
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
