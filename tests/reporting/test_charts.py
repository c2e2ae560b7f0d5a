import math

from lgad_lightning.reporting.charts import MOST_POINTS, training_charts


def test_each_curve_has_its_chart() -> None:
    names = (
        "train/loss", "val/loss", "lgad/loss", "lgad/loss/net.a", "lgad/agreement/a", "lgad/gradient_ratio/a", "val/f1",
        "val/iou", "lr-Adam", "test/loss", "test/f1", "epoch_time",
    )  # fmt: skip
    charts = training_charts({name: [(0, 0.5)] for name in names})
    assert {chart.title: [series.name for series in chart.series] for chart in charts} == {
        "Task loss": ["train/loss", "val/loss"],
        "Distillation loss": ["lgad"],
        "Distillation loss of each pair": ["a"],
        "Attention agreement": ["a"],
        "Gradient ratio": ["a"],
        "Validation, lanes": ["f1"],
        "Validation, pixels": ["iou"],
        "Learning rate": ["lr-Adam"],
    }


def test_what_is_not_finite_is_a_marked_gap() -> None:
    curve = [(0, 1.0), (1, math.nan), (2, math.nan), (3, 2.0), (4, math.nan)]
    (chart,) = training_charts({"train/loss": curve, "val/loss": [(0, 1.0)]})
    assert chart.series[0].y == [1.0, None, None, 2.0, None]
    assert chart.gaps == [(1, 2), (4, 4)]
    assert chart.note == "train/loss: no value at 3 of 5 steps"


def test_an_undefined_precision_is_not_drawn_as_minus_one() -> None:
    (chart,) = training_charts({"val/precision": [(9, -1.0), (19, 0.5)]})
    assert chart.series[0].y == [None, 0.5]


def test_a_long_curve_keeps_its_extremes_and_its_gaps() -> None:
    curve = [(step, math.sin(step)) for step in range(100_000)]
    curve[777], curve[31_000], curve[64_000] = (777, 50.0), (31_000, -50.0), (64_000, math.nan)
    (chart,) = training_charts({"train/loss": curve})
    series = chart.series[0]
    assert len(series.x) <= MOST_POINTS + 3
    assert {(777, 50.0), (31_000, -50.0), (64_000, None)} <= set(zip(series.x, series.y, strict=True))
    assert list(series.x) == sorted(series.x)


def test_curves_of_two_distillations_are_told_apart() -> None:
    names = (
        "lgad/loss",
        "sad/loss",
        "lgad/loss/net.a",
        "sad/loss/net.a",
        "lgad/agreement/net.a",
        "sad/agreement/net.a",
    )
    charts = training_charts({name: [(0, 0.5)] for name in names})
    assert {chart.title: [series.name for series in chart.series] for chart in charts} == {
        "Distillation loss": ["lgad", "sad"],
        "Distillation loss of each pair": ["lgad/loss/net.a", "sad/loss/net.a"],
        "Attention agreement": ["lgad/agreement/net.a", "sad/agreement/net.a"],
    }
