import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from lgad_lightning.lanes import CULANE_SIZE, Lane, read_lines
from lgad_lightning.metrics import CULaneF1
from lgad_lightning.metrics.functional import MEAN_THRESHOLDS, culane_scores

LEFT = Lane([[500, 590], [700, 300]], CULANE_SIZE)
RIGHT = Lane([[1200, 590], [1000, 300]], CULANE_SIZE)


def test_scenarios_and_total_are_those_of_the_official_scripts():
    metric = CULaneF1()
    metric.update([[LEFT], [LEFT, RIGHT]], [[LEFT, RIGHT], []], images=["a", "b"], scenarios=["normal", "cross"])
    metric.update([[RIGHT]], [[RIGHT]], images=["c"], scenarios=["normal"])
    assert metric.results() == {
        "total": culane_scores(tp=2, num_preds=4, num_target=3),  # with the false positives of the crossroads
        "scenarios": {
            "normal": culane_scores(tp=2, num_preds=2, num_target=3),
            "cross": culane_scores(tp=0, num_preds=2, num_target=0),
        },
    }
    assert metric.compute()["cross/fp"] == 2
    assert metric.compute()["normal/f1"].item() == pytest.approx(0.8)


def test_golden_images_through_the_class(golden_dir):
    folder = golden_dir / "culane" / "edge_cases"
    metric = CULaneF1()
    for path in sorted((folder / "gt").glob("*.lines.txt")):
        pred = folder / "pred" / path.name
        preds = read_lines(pred, strict=False) if pred.exists() else []
        metric.update([preds], [read_lines(path, strict=False)], images=[path.name])
    total = metric.results()["total"]
    # missing_gt_file.jpg alone is not among the annotation files: its 2 predictions are false positives
    assert (total["tp"], total["fp"] + 2, total["fn"]) == (33, 24, 23)


def test_several_thresholds_are_reported_apart_from_the_protocol():
    shifted = Lane(LEFT.points + torch.tensor([8.0, 0]).numpy(), CULANE_SIZE)
    metric = CULaneF1(mean_thresholds=MEAN_THRESHOLDS)
    metric.update([[shifted, RIGHT]], [[LEFT, RIGHT]], images=["a"])
    results = metric.results()
    assert results["total"]["f1"] == results["unofficial"]["f1_50"] == 1
    assert results["unofficial"]["f1_95"] == 0.5
    assert results["unofficial"]["mean_f1"] == pytest.approx(sum(list(results["unofficial"].values())[:-1]) / 10)
    assert metric.compute()["unofficial/mean_f1"].item() == results["unofficial"]["mean_f1"]
    assert "unofficial" not in CULaneF1().results()


def test_canvas_width_and_threshold_are_arguments():
    near = Lane(LEFT.points + torch.tensor([8.0, 0]).numpy(), CULANE_SIZE)
    for options, tp in (
        ({}, 1),
        ({"width": 5}, 0),
        ({"threshold": 0.9}, 0),
        ({"image_size": (224, 224), "width": 5}, 1),
    ):
        metric = CULaneF1(**options)
        metric.update([[near]], [[LEFT]], images=["a"])
        assert metric.results()["total"]["tp"] == tp, options


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        CULaneF1().update([[LEFT]], [], images=["a"])
    with pytest.raises(ValueError, match="zip"):
        CULaneF1().update([[LEFT]], [[LEFT]], images=["a", "b"])


def test_a_collection_keeps_metrics_with_other_settings_apart():
    metrics = MetricCollection({"f50": CULaneF1(), "f75": CULaneF1(threshold=0.75)})
    shifted = Lane(LEFT.points + torch.tensor([8.0, 0]).numpy(), CULANE_SIZE)
    metrics.update([[]], [[LEFT]], images=["a"])  # nothing is found: the counts of both are equal
    metrics.update([[shifted]], [[LEFT]], images=["b"])
    found = metrics.compute()
    assert found["f50_f1"] == pytest.approx(2 / 3)
    assert found["f75_f1"] == 0


def test_a_second_synchronisation_is_refused_as_in_torchmetrics():
    metric = CULaneF1()
    metric.update([[LEFT]], [[LEFT]], images=["a"])
    together = {"dist_sync_fn": lambda state, group: [state], "distributed_available": lambda: True}
    metric.sync(**together)
    with pytest.raises(TorchMetricsUserError, match="already been synced"):
        metric.sync(**together)
