import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from lgad_lightning.lanes import CULANE_SIZE, Lane, read_lines
from lgad_lightning.metrics.functional import (
    MEAN_THRESHOLDS,
    culane_counts,
    culane_iou,
    culane_mean_f1,
    culane_scores,
    match_lanes,
)

THRESHOLDS = (0.3, 0.5, 0.7)


def lanes_of(folder, image):
    path = folder / Path(image).with_suffix(".lines.txt")
    return read_lines(path, strict=False) if path.exists() else []


def golden_cases(folder):
    """Image, its official counts at each threshold, its official IoUs, whether the platform matters."""
    expected = json.loads((folder / "expected.json").read_text())
    if "cases" in expected:
        for image, case in expected["cases"].items():
            yield image, [case["thresholds"][str(t)] for t in THRESHOLDS], case["iou"], case["platform_dependent"]
        return
    ious = json.loads((folder / "iou.json").read_text())
    for image, official in ious.items():
        yield image, [expected["thresholds"][str(t)]["per_image"][image] for t in THRESHOLDS], official["iou"], False


def check_folder(folder):
    checked = 0
    for image, official, official_iou, platform_dependent in golden_cases(folder):
        preds, target = lanes_of(folder / "pred", image), lanes_of(folder / "gt", image)
        counts = culane_counts(preds, target, THRESHOLDS)
        for tp, at_threshold in zip(counts.tp, official, strict=True):
            ours = (tp, counts.num_preds - tp, counts.num_target - tp)
            assert ours == (at_threshold["tp"], at_threshold["fp"], at_threshold["fn"]), image
        if not platform_dependent:
            expected = np.array(official_iou, dtype=np.float64).reshape(len(target), len(preds))
            np.testing.assert_allclose(culane_iou(preds, target), expected, rtol=0, atol=1e-9, err_msg=image)
        checked += 1
    return checked


@pytest.mark.parametrize(("name", "images"), [("public", 200), ("edge_cases", 41)])
def test_every_image_has_the_official_counts_and_ious(golden_dir, name, images):
    assert check_folder(golden_dir / "culane" / name) == images


def test_every_image_with_real_lanes_has_the_official_counts_and_ious(shared_dir):
    assert check_folder(shared_dir / "real" / "culane_golden") == 175


def test_the_sums_have_the_official_precision_recall_and_f1(golden_dir):
    folder = golden_dir / "culane" / "public"
    expected = json.loads((folder / "expected.json").read_text())["thresholds"]
    counts = [
        culane_counts(lanes_of(folder / "pred", image), lanes_of(folder / "gt", image), THRESHOLDS)
        for image, *_ in golden_cases(folder)
    ]
    num_preds, num_target = sum(c.num_preds for c in counts), sum(c.num_target for c in counts)
    for index, threshold in enumerate(THRESHOLDS):
        official = expected[str(threshold)]["total"]
        scores = culane_scores(sum(c.tp[index] for c in counts), num_preds, num_target)
        assert scores == {key: official[key] for key in scores}


def test_the_threshold_is_strict():
    lane = Lane([[800, 600], [800, 100]], CULANE_SIZE)
    assert culane_counts([lane], [lane], thresholds=[1.0, 0.999]).tp == (0, 1)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0), (-1, -1, -1)),  # as the official evaluator prints them
        ((0, 2, 0), (0, -1, 0)),
        ((0, 0, 2), (-1, 0, 0)),
        ((0, 2, 2), (0, 0, 0)),  # the official F1 is nan
        ((1, 2, 4), (0.5, 0.25, 1 / 3)),
    ],
)
def test_undefined_ratios(counts, expected):
    scores = culane_scores(*counts)
    assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx(expected)


def test_mean_f1_is_over_ten_thresholds():
    scores = culane_mean_f1(list(range(10, 0, -1)), num_preds=10, num_target=10, thresholds=MEAN_THRESHOLDS)
    assert list(scores) == [*(f"f1_{percent}" for percent in range(50, 100, 5)), "mean_f1"]
    assert scores["mean_f1"] == pytest.approx(0.55)


iou_matrices = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(st.floats(0, 1), min_size=math.prod(shape), max_size=math.prod(shape)).map(
        lambda values: np.array(values).reshape(shape)
    )
)


@given(iou_matrices)
def test_matching_is_optimal_but_for_its_tolerance(iou):
    pairs = match_lanes(iou)
    assert len(pairs) == min(iou.shape)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    best = iou[linear_sum_assignment(-iou)].sum()
    assert best - sum(iou[pair] for pair in pairs) <= 2e-2 * len(pairs)


def test_within_the_tolerance_the_first_lane_wins():
    assert match_lanes(np.array([[0.795, 0.8]])) == [(0, 0)]
    assert match_lanes(np.array([[0.785, 0.8]])) == [(0, 1)]


@given(iou_matrices, st.data())
def test_matching_ends_whatever_is_undefined(iou, data):
    iou[data.draw(st.integers(0, iou.shape[0] - 1)), data.draw(st.integers(0, iou.shape[1] - 1))] = np.nan
    assert len(match_lanes(iou)) <= min(iou.shape)


steps = st.lists(st.tuples(st.integers(-60, 60), st.integers(5, 60)), min_size=1, max_size=5)
lanes = st.tuples(st.integers(-100, 1740), steps).map(
    lambda lane: Lane(np.cumsum([(lane[0], 590), *((x, -y) for x, y in lane[1])], axis=0), CULANE_SIZE)
)
images = st.lists(st.one_of(lanes, st.just(Lane([], CULANE_SIZE))), max_size=4)


@given(images, images)
@settings(max_examples=30, deadline=None)
def test_iou_is_symmetric_and_between_0_and_1(preds, target):
    iou = culane_iou(preds, target)
    np.testing.assert_array_equal(iou, culane_iou(target, preds).T)
    assert ((iou >= 0) & (iou <= 1) | np.isnan(iou)).all()


@given(lanes)
@settings(max_examples=20, deadline=None)
def test_a_lane_equals_itself_unless_it_lies_outside(lane):
    iou = culane_iou([lane], [lane])[0, 0]
    outside = lane.points[:, 0].max() < -30 or lane.points[:, 0].min() > 1670
    assert np.isnan(iou) if outside else iou == 1 or np.isnan(iou)


@given(images, images)
@settings(max_examples=20, deadline=None)
def test_counts_add_up(preds, target):
    counts = culane_counts(preds, target, MEAN_THRESHOLDS)
    assert (counts.num_preds, counts.num_target) == (len(preds), len(target))
    assert all(0 <= tp <= min(len(preds), len(target)) for tp in counts.tp)
    assert list(counts.tp) == sorted(counts.tp, reverse=True)


def vertical(x):
    return Lane([(x, 590), (x + 5, 450), (x, 300)], CULANE_SIZE)


@given(
    st.dictionaries(st.sampled_from([200, 600, 1000, 1400]), st.integers(-30, 30), max_size=4),
    st.permutations(range(4)),
    st.permutations(range(4)),
)
@settings(max_examples=40, deadline=None)
def test_the_order_of_lanes_does_not_matter(shifts, order, other_order):
    lanes, found = list(map(vertical, shifts)), [vertical(x + shift) for x, shift in shifts.items()]
    expected = sum(abs(shift) < 11 for shift in shifts.values())  # IoU 0.5 is at a shift of a third of 31 px
    preds = [found[i] for i in order if i < len(found)]
    target = [lanes[i] for i in other_order if i < len(lanes)]
    assert culane_counts(preds, target) == ((expected,), len(shifts), len(shifts))


@given(images, images)
@settings(max_examples=20, deadline=None)
def test_lanes_of_another_image_size_are_scaled_to_the_canvas(preds, target):
    halves = [[lane.scaled((295, 820)) for lane in image] for image in (preds, target)]
    np.testing.assert_allclose(culane_iou(*halves), culane_iou(preds, target), atol=0.02)
