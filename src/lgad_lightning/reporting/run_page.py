"""The page of one run."""

from collections.abc import Mapping

from lgad_lightning.reporting.charts import Chart, bars, training_charts
from lgad_lightning.reporting.facts import command, facts, heading
from lgad_lightning.reporting.page import render, scenario_rows, shown
from lgad_lightning.reporting.run import Run, read_curves

_TILES = {
    "f1": "F1",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "iou": "IoU of pixels",
    "pixel_iou": "IoU of pixels",
    "fp": "false positives",
    "fn": "false negatives",
}


def run_page(run: Run) -> bytes:
    """The page of a run, also of one that was interrupted or has failed: it shows what there is.

    Args:
        run: The run.

    Returns:
        HTML.
    """
    charts: list[Chart] = []
    values = {
        "title": heading(run),
        "name": "/".join(run.folder.parts[-2:]),
        "state": run.state,
        "tiles": tiles(run.figures),
        "command_line": command(run),
        "facts": facts(run),
        "scenarios": _scenarios(run.figures, charts),
        "training": _training(run, charts),
        "config": {key: "-" if value is None else str(value) for key, value in run.config.items()},
    }
    sections = [name for name in ("scenarios", "training", "configuration") if values.get(name, True)]
    return render("run.html", charts, sections=sections, **values)


def tiles(figures: Mapping[str, float]) -> dict[str, str]:
    """The most important figures of a test, by what they are called for people."""
    counts = ("fp", "fn") if "tp" in figures else ()
    known = {name: title for name, title in _TILES.items() if name in figures and name not in counts}
    return {title: shown(figures[name], digits=3) for name, title in known.items()}


def add(charts: list[Chart], chart: Chart) -> int:
    """Appends a chart and says its number."""
    charts.append(chart)
    return len(charts) - 1


def _scenarios(figures: Mapping[str, float], charts: list[Chart]) -> dict[str, object] | None:
    if not figures:
        return None
    columns, rows = scenario_rows(figures)
    name = "f1" if "f1" in figures else "accuracy"
    values = {row: figures.get(f"{row}/{name}", -1.0) for row in rows if row != "total"}
    drawn = {row: value for row, value in values.items() if value >= 0}
    number = add(charts, bars(f"{_TILES[name]} by scenario", drawn, unit=True)) if drawn else None
    return {"columns": columns, "rows": rows, "chart": number}


def _training(run: Run, charts: list[Chart]) -> list[int]:
    curves = run.curves() or read_curves(run.folder / "teacher" / "version_0" / "metrics.csv")
    return [add(charts, chart) for chart in training_charts(curves)]
