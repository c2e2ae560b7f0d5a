"""The page of several runs: a comparison by arms."""

import math
from typing import Any

from lgad_lightning.reporting.arms import Arm
from lgad_lightning.reporting.charts import Chart, Series, band_chart, defined, finite, is_distillation_loss
from lgad_lightning.reporting.comparing import ArmResult, Comparison
from lgad_lightning.reporting.facts import command
from lgad_lightning.reporting.page import render, shown

_NAMES = {"f1": "F1", "iou": "IoU"}
_TITLES = {
    "val/f1": "Validation F1",
    "val/accuracy": "Validation accuracy",
    "val/iou": "Validation IoU of pixels",
    "train/loss": "Task loss",
}


def comparison_page(comparison: Comparison) -> bytes:
    """Makes the page of a comparison.

    Args:
        comparison: The arms, compared by a figure.

    Returns:
        HTML.
    """
    figure, baseline = comparison.figure, comparison.baseline.name
    name = _NAMES.get(figure, figure)
    others = [result for result in comparison.results if result.difference is not None]
    differences, scenarios = _differences(others, name), _scenario_differences(others, name)
    curves = _curves([result.arm for result in comparison.results], figure)
    charts = [*differences, *scenarios, *curves]
    ends = len(differences), len(differences) + len(scenarios), len(charts)
    arms = [result.arm for result in comparison.results]
    values = {
        "title": f"{len(arms)} arms compared by {name}" if len(arms) > 1 else f"One arm: {name}",
        "name": ", ".join(dict.fromkeys(run.data.get("root", "") for arm in arms for run in arm.runs.values())),
        "figure_name": name,
        "baseline": baseline,
        "verdicts": _verdicts(others, baseline, name),
        "rows": [_row(result) for result in comparison.results],
        "differences": range(ends[0]),
        "scenario_chart": range(ends[0], ends[1]),
        "curves": range(ends[1], ends[2]),
        "scenarios": _scenario_rows(comparison, others),
        "compared": [result.arm.name for result in others],
        "runs": [_run_row(arm, seed, figure) for arm in arms for seed in sorted(arm.runs)],
        "left_out": [(str(folder), why) for arm in arms for folder, why in arm.left_out(figure)],
        "commands": {arm.name: command(next(iter(arm.runs.values()))) for arm in arms if arm.runs},
    }
    sections = [part for part in ("arms", "scenarios", "training", "runs") if part != "scenarios" or values[part]]
    return render("comparison.html", charts, sections=sections, **values)


def _row(result: ArmResult) -> dict[str, str]:
    summary, difference = result.summary, result.difference
    row = {"arm": result.arm.name, "seeds": result.seeds}
    row |= {"mean": "", "deviation": "", "interval": "", "difference": "", "its interval": "", "p": ""}
    if summary is not None:
        row["mean"] = shown(summary.mean)
        if summary.seeds > 1:
            row |= {"deviation": shown(summary.deviation), "interval": f"{summary.low:.4f} to {summary.high:.4f}"}
    if difference is not None:
        row["difference"] = f"{difference.mean:+.4f}" + " *" * difference.established
        if summary is not None and difference.seeds < summary.seeds:
            row["seeds"] += f", {difference.seeds} of them paired"
        if difference.seeds > 1:
            row |= {"its interval": f"{difference.low:+.4f} to {difference.high:+.4f}", "p": difference.p_text}
    return row | {"steps": "-" if result.steps is None else f"{result.steps:,}"}


def _verdicts(others: list[ArmResult], baseline: str, name: str) -> list[str]:
    """Writes a sentence for each difference whose interval excludes zero, and nothing about the others."""
    verdicts = []
    for result in others:
        difference = result.difference
        if difference is not None and difference.established:
            word = "higher" if difference.mean > 0 else "lower"
            verdicts.append(
                f"{result.arm.name}: {name} is {word} than that of {baseline}, by {abs(difference.mean):.4f} "
                f"({difference.seeds} seeds)."
            )
    return verdicts


def _differences(others: list[ArmResult], name: str) -> list[Chart]:
    found = [(result.arm.name, result.difference) for result in others if result.difference is not None]
    if not found:
        return []
    values = [[finite(end) for end in (one.mean, one.low, one.high)] for _, one in found]
    mean, low, high = zip(*values, strict=True)
    series = Series("difference", [arm for arm, _ in found], mean, low, high)
    return [Chart(f"Difference in {name} to the baseline", [series], "intervals")]


def _scenario_differences(others: list[ArmResult], name: str) -> list[Chart]:
    names = dict.fromkeys(scenario for result in others for scenario in result.scenarios)
    series = [
        Series(result.arm.name, list(names), [result.scenarios.get(name) for name in names])
        for result in others
        if result.scenarios
    ]
    return [Chart(f"Mean difference in {name} by scenario", series, "bars")] if series else []


def _scenario_rows(comparison: Comparison, others: list[ArmResult]) -> list[tuple[str, list[str]]]:
    """For each scenario: the mean of the baseline, and the mean differences of the other arms to it."""
    names = dict.fromkeys(name for result in others for name in result.scenarios)
    rows = []
    for scenario in names:
        figures = comparison.baseline.figures(f"{scenario}/{comparison.figure}").values()
        mean = shown(sum(figures) / len(figures)) if figures else "-"
        gaps = [result.scenarios.get(scenario, math.nan) for result in others]
        rows.append((scenario, [mean, *("-" if math.isnan(gap) else f"{gap:+.4f}" for gap in gaps)]))
    return rows


def _curves(arms: list[Arm], figure: str) -> list[Chart]:
    logged = {arm.name: [run.curves() for run in arm.runs.values()] for arm in arms if arm.runs}
    all_names = dict.fromkeys(name for seeds in logged.values() for curves in seeds for name in curves)
    losses = [name for name in all_names if is_distillation_loss(name)]
    charts = []
    for name in dict.fromkeys((f"val/{figure}", "val/iou", "train/loss", *losses)):
        found = {
            arm: [defined(name, curves[name]) for curves in seeds if name in curves] for arm, seeds in logged.items()
        }
        found = {arm: seeds for arm, seeds in found.items() if seeds}
        if found:
            charts.append(band_chart(_TITLES.get(name, name), found))
    return charts


def _run_row(arm: Arm, seed: int, figure: str) -> dict[str, Any]:
    run = arm.runs[seed]
    return {"arm": arm.name, "seed": seed, "figure": shown(run.figures.get(figure)), "folder": str(run.folder)}
