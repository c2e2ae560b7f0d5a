"""The charts of a page as plain values. `templates/report.js` passes them to plotly."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from lgad_lightning.reporting.run import Curve

MOST_POINTS = 1000
"""Largest number of points of a curve. Longer curves are thinned, but keep their highest and lowest points."""

Value = float | None
"""None if a figure was not finite. The line is interrupted there."""


@dataclass(frozen=True)
class Series:
    """A line, or a row of bars.

    Args:
        name: Its name in the legend.
        x: Steps, or names of bars.
        y: A value for each.
        low: Lower edge of its band, or lower ends of its intervals. Empty: none.
        high: The upper edge or ends.
    """

    name: str
    x: Sequence[float | str]
    y: Sequence[Value]
    low: Sequence[Value] = ()
    high: Sequence[Value] = ()


@dataclass(frozen=True)
class Chart:
    """A chart.

    Args:
        title: The text above it.
        series: The lines or bars in it.
        kind: `lines`, `bars`, or `intervals` (points with intervals from `low` to `high`).
        x_title: The text at the horizontal axis.
        logarithmic: Whether the vertical axis is logarithmic.
        gaps: First and last step of each stretch where the value is not finite or not defined.
        note: The text below it.
        from_zero: Whether the axis of the values begins at 0. For bars, it also ends at 1.
    """

    title: str
    series: Sequence[Series]
    kind: str = "lines"
    x_title: str = "step"
    logarithmic: bool = False
    gaps: Sequence[tuple[int, int]] = field(default=())
    note: str = ""
    from_zero: bool = False

    def values(self) -> dict[str, Any]:
        """The chart as values for JSON."""
        return asdict(self)


def training_charts(curves: Mapping[str, Curve]) -> list[Chart]:
    """Makes charts of the figures that a training logged. Figures that were not logged have no chart.

    Args:
        curves: The curves by name, as `read_curves` returns them.
    """
    groups: tuple[tuple[str, Callable[[str], bool], dict[str, Any]], ...] = (
        ("Task loss", _is_task_loss, {}),
        ("Distillation loss", is_distillation_loss, {}),
        ("Distillation loss of each pair", lambda name: "/loss/" in name, {}),
        ("Attention agreement", lambda name: "agreement" in name, {"from_zero": True}),
        ("Gradient ratio", lambda name: "gradient_ratio" in name, {"logarithmic": True}),
        ("Validation, lanes", lambda name: name in _names("val", _LANES), {"from_zero": True}),
        ("Validation, pixels", lambda name: name in _names("val", _PIXELS), {"from_zero": True}),
        ("Learning rate", lambda name: name.startswith("lr-"), {}),
        ("Distillation weight", lambda name: name.endswith("/weight"), {"from_zero": True}),
    )
    charts = []
    for title, belongs, options in groups:
        found = {name: defined(name, curve) for name, curve in curves.items() if belongs(name)}
        if found:
            charts.append(_line_chart(title, found, **options))
    return charts


def is_distillation_loss(name: str) -> bool:
    """Whether a logged figure is the whole loss of a distillation.

    Example:
        >>> [is_distillation_loss(name) for name in ("lgad/loss", "lgad/loss/stage1", "val/loss")]
        [True, False, False]
    """
    return name.endswith("/loss") and name.partition("/")[0] not in ("train", "val", "test")


_LANES = ("f1", "precision", "recall", "accuracy")
_PIXELS = ("iou", "existence_accuracy", "pixel_iou", "image_recall", "image_iou")
_TERMS = ("loss", "segmentation", "iou", "existence")


def defined(name: str, curve: Curve) -> Curve:
    """Prepares a curve for drawing: -1, which means undefined in the protocols, becomes NaN.

    Args:
        name: The name of the figure. Only figures of the validation can be undefined.
        curve: Its curve.
    """
    return [(step, math.nan if name.startswith("val/") and value == -1 else value) for step, value in curve]


def _names(split: str, figures: Sequence[str]) -> set[str]:
    return {f"{split}/{figure}" for figure in figures}


def _is_task_loss(name: str) -> bool:
    return name in _names("train", _TERMS) or name == "val/loss"


def _line_chart(title: str, curves: Mapping[str, Curve], **options: Any) -> Chart:
    ordered = dict(sorted(curves.items(), key=_as_wanted))
    short = [_short(name) for name in ordered]
    told = short if len(set(short)) == len(short) else ordered
    series = [Series(name, *_thinned(curve)) for name, curve in zip(told, ordered.values(), strict=True)]
    missing = {name: _stretches(curve) for name, curve in curves.items()}
    gaps = sorted({stretch for stretches in missing.values() for stretch in stretches})
    note = "; ".join(
        f"{name}: no value at {sum(math.isnan(value) for _, value in curves[name])} of {len(curves[name])} steps"
        for name, stretches in missing.items()
        if stretches
    )
    return Chart(title, series, gaps=gaps[:_MOST_GAPS], note=note, **options)


_MOST_GAPS = 50


def _short(name: str) -> str:
    """Names a figure for a legend: `f1`, `stage1` for the layer `network.encoder.stage1`, but `train/loss`.

    Example:
        >>> [_short(name) for name in ("val/f1", "lgad/loss", "lgad/loss/network.stage1", "lgad/loss/net.x<net.y")]
        ['f1', 'lgad', 'stage1', 'x<y']
    """
    if name.startswith("train/") or name == "val/loss":
        return name
    if is_distillation_loss(name):
        return name.removesuffix("/loss")
    return "<".join(layer.rpartition(".")[2] for layer in name.rpartition("/")[2].split("<"))


def _as_wanted(item: tuple[str, Curve]) -> tuple[int, str]:
    order = ("train/loss", "val/loss", "val/f1", "val/accuracy", "val/iou")
    return order.index(item[0]) if item[0] in order else len(order), item[0]


def _stretches(curve: Curve) -> list[tuple[int, int]]:
    stretches = []
    for missing, group in groupby(curve, key=lambda point: math.isnan(point[1])):
        if missing:
            steps = [step for step, _ in group]
            stretches.append((steps[0], steps[-1]))
    return stretches


def _thinned(curve: Curve) -> tuple[list[int], list[Value]]:
    """Keeps at most about `MOST_POINTS` points: the lowest, the highest and a gap of each part of the curve."""
    size = math.ceil(3 * len(curve) / MOST_POINTS) if len(curve) > MOST_POINTS else 1
    kept: set[int] = set()
    for start in range(0, len(curve), size):
        part = range(start, min(start + size, len(curve)))
        missing = [place for place in part if math.isnan(curve[place][1])]
        by_value = sorted(set(part) - set(missing), key=lambda place: curve[place][1])
        kept |= {*missing[:1], *by_value[:1], *by_value[-1:]}
    points = [curve[place] for place in sorted(kept)]
    return [step for step, _ in points], [finite(value) for _, value in points]


def band_chart(title: str, curves: Mapping[str, Sequence[Curve]]) -> Chart:
    """Charts the curves of several arms: the mean over the seeds, and a band from the lowest to the highest.

    Args:
        title: See `Chart`.
        curves: The curves of the seeds of each arm. Only steps that all seeds of an arm have are used. If a seed has no
            finite value at a step, the arm has a gap there.
    """
    series, gaps = [], set()
    for name, seeds in curves.items():
        by_step = [dict(curve) for curve in seeds]
        steps = sorted(set.intersection(*(set(curve) for curve in by_step))) if by_step else []
        values = {step: [curve[step] for curve in by_step] for step in steps}
        gaps |= set(_stretches([(step, sum(row)) for step, row in values.items()]))
        kept = steps[:: math.ceil(len(steps) / MOST_POINTS) or 1]
        rows = [values[step] for step in kept]
        mean = [finite(sum(row) / len(row)) for row in rows]
        low, high = (
            [end(row) if y is not None else None for y, row in zip(mean, rows, strict=True)] for end in (min, max)
        )
        series.append(Series(name, kept, mean, *((low, high) if len(seeds) > 1 else ())))
    return Chart(title, series, gaps=sorted(gaps)[:_MOST_GAPS])


def finite(value: float) -> Value:
    """A value for JSON: None if it is not finite."""
    return value if math.isfinite(value) else None


def bars(title: str, values: Mapping[str, float]) -> Chart:
    """Charts a bar from 0 to 1 for each value.

    Args:
        title: See `Chart`.
        values: The values by the names of the bars.
    """
    series = Series(title, list(values), [finite(value) for value in values.values()])
    return Chart(title, [series], "bars", from_zero=True)
