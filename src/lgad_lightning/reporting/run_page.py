"""The page of one run."""

from collections.abc import Mapping, Sequence
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.attention_pictures import attention_of
from lgad_lightning.reporting.candidates import CANDIDATES, existence_charts, precision_recall, read_candidates
from lgad_lightning.reporting.charts import Chart, Series, bars, training_charts
from lgad_lightning.reporting.facts import command, facts, heading
from lgad_lightning.reporting.frame_pictures import picture_of
from lgad_lightning.reporting.judging import (
    Judged,
    choose_frames,
    f1_by_threshold,
    judge_frames,
    recall_by_place,
)
from lgad_lightning.reporting.page import render, scenario_rows, shown
from lgad_lightning.reporting.run import Run, read_curves
from lgad_lightning.reporting.tested import Tested

_SECTIONS = ("scenarios", "training", "lanes", "attention", "configuration")
_TILES = {
    "f1": "F1",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "iou": "IoU of pixels",
    "pixel_iou": "IoU of pixels",
    "image_recall": "recall, mean of images",
    "image_iou": "IoU, mean of images",
    "fp": "false positives",
    "fn": "false negatives",
}


def run_page(run: Run, data: Tested | str) -> bytes:
    """Makes the page of a run. If the run was interrupted or failed, the page shows what there is.

    Args:
        run: The run.
        data: What it was tested on. Or the reason why this is not known, which the page then shows.

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
        "links": run.links,
        "scenarios": _scenarios(run.figures, charts),
        "training": _training(run, charts),
        "lanes": _lanes(run, data, charts),
        "attention": attention_of(run.folder / "pictures"),
        "config": {key: "-" if value is None else str(value) for key, value in run.config.items()},
    }
    sections = [name for name in _SECTIONS if values.get(name, True)]
    return render("run.html", charts, sections=sections, **values)


def tiles(figures: Mapping[str, float]) -> dict[str, str]:
    """The most important figures of a test, by their titles."""
    counts = ("fp", "fn") if "tp" in figures else ()
    known = {name: title for name, title in _TILES.items() if name in figures and name not in counts}
    return {title: shown(figures[name], digits=3) for name, title in known.items()}


def _add(charts: list[Chart], chart: Chart) -> int:
    charts.append(chart)
    return len(charts) - 1


def _scenarios(figures: Mapping[str, float], charts: list[Chart]) -> dict[str, Any] | None:
    if not figures:
        return None
    columns, rows = scenario_rows(figures)
    name = "f1" if "f1" in figures else "accuracy"
    values = {row: figures.get(f"{row}/{name}", -1.0) for row in rows if row != "total"}
    drawn = {row: value for row, value in values.items() if value >= 0}
    number = _add(charts, bars(f"{_TILES[name]} by scenario", drawn)) if drawn else None
    return {"columns": columns, "rows": rows, "chart": number}


def _training(run: Run, charts: list[Chart]) -> list[int]:
    curves = run.curves() or read_curves(run.folder / "teacher" / "version_0" / "metrics.csv")
    return [_add(charts, chart) for chart in training_charts(curves)]


def _lanes(run: Run, data: Tested | str, charts: list[Chart]) -> dict[str, Any] | None:
    """Shows where lanes are missed, and some frames. Otherwise, says why they cannot be shown."""
    if run.state:
        return None
    if isinstance(data, str):
        return {"gap": data}
    try:
        frames = judge_frames(data.source, run.folder / "predictions", data.rule)
        candidates = read_candidates(run.folder / CANDIDATES)
        scores = precision_recall(data.source, candidates, data.rule) if candidates else {}
    except LgadError as error:
        return {"gap": str(error)}
    if not frames:
        return {"gap": f"{run.folder / 'predictions'} holds no predictions of the test frames."}
    shown_charts = [*_lane_charts(frames, data), *(existence_charts(scores) if scores else [])]
    numbers = [_add(charts, chart) for chart in shown_charts]
    counted = (
        f"All {len(frames):,}" if len(frames) == data.total else f"{len(frames):,} of {data.total:,}, evenly spread,"
    )
    values = {"gap": "", "rule": data.rule.text, "counted": counted, "charts": numbers}
    chosen = choose_frames(frames)
    try:
        pictures = {kind: [picture_of(frame, data.source) for frame in some] for kind, some in chosen.items() if some}
    except LgadError as error:
        return values | {"pictures": {}, "no_pictures": str(error)}
    return values | {"pictures": pictures, "no_pictures": ""}


def _lane_charts(frames: Sequence[Judged], data: Tested) -> list[Chart]:
    recall = recall_by_place(frames, data.source.num_slots)
    charts = []
    if data.rule.of_iou:
        f1 = f1_by_threshold(frames)
        series = Series("F1", list(f1), list(f1.values()))
        charts.append(Chart("F1 by IoU threshold", [series], x_title="IoU above", from_zero=True))
    if recall["rows"]:
        named = {f"rows {name}": part["recall"] for name, part in recall["rows"].items()}
        charts.append(bars("Recall by distance, the nearest first", named))
    if recall["slots"]:
        named = {name: part["recall"] for name, part in recall["slots"].items()}
        charts.append(bars("Recall by lane, left to right", named))
    return charts
