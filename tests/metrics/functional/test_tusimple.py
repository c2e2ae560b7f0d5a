import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.errors import LgadError
from lgad_lightning.metrics.functional import evaluate_tusimple, tusimple_scores


def test_the_public_file_has_the_official_figures_to_the_last_bit(golden_dir):
    folder = golden_dir / "tusimple" / "public"
    expected = json.loads((folder / "expected.json").read_text())
    result = evaluate_tusimple(folder / "pred.json", folder / "label.json")
    assert result.total._asdict() == expected["total"]
    assert {name: scores._asdict() for name, scores in result.images} == expected["per_image"]


def test_every_edge_case_has_the_official_figures_or_error(golden_dir):
    folder = golden_dir / "tusimple" / "edge_cases"
    for name, case in json.loads((folder / "expected.json").read_text()).items():
        files = folder / name / "pred.json", folder / name / "label.json"
        if "raises" in case:
            with pytest.raises(LgadError) as caught:
                evaluate_tusimple(*files)
            assert case["message"] in str(caught.value), name
            assert str(folder / name) in str(caught.value), name
        else:
            figures = evaluate_tusimple(*files).total._asdict()
            assert {key: None if math.isnan(value) else value for key, value in figures.items()} == case["result"], name


@pytest.mark.parametrize(("case", "line"), [("garbage_line", 3), ("blank_last_line", 4), ("unknown_raw_file", 2)])
def test_errors_name_the_line(golden_dir, case, line):
    folder = golden_dir / "tusimple" / "edge_cases" / case
    with pytest.raises(LgadError, match=rf"pred\.json:{line}: "):
        evaluate_tusimple(folder / "pred.json", folder / "label.json")


@pytest.mark.parametrize("record", ["[]", "3", '{"raw_file": 5, "lanes": [], "run_time": 1}'])
def test_json_that_is_no_prediction_is_an_error_too(tmp_path, record):
    (tmp_path / "pred.json").write_text(record)
    (tmp_path / "gt.json").write_text('{"raw_file": "a.jpg", "lanes": [], "h_samples": []}')
    with pytest.raises(LgadError, match=r"pred\.json:1: "):
        evaluate_tusimple(tmp_path / "pred.json", tmp_path / "gt.json")


@pytest.mark.parametrize("key", ["raw_file", "lanes", "h_samples"])
@pytest.mark.parametrize("value", [None, 5, "a", {}, [None], [[1]], [["a", "b"]], [[10**400] * 2]])
def test_labels_and_predictions_of_any_shape_end_in_one_error_or_figures(tmp_path, key, value):
    good = {"raw_file": "a.jpg", "lanes": [[1, 2]], "h_samples": [300, 310], "run_time": 1}
    for pred, label in ((good | {key: value}, good), (good, good | {key: value})):
        (tmp_path / "pred.json").write_text(json.dumps(pred))
        (tmp_path / "gt.json").write_text(json.dumps(label))
        message = "figures"
        try:
            evaluate_tusimple(tmp_path / "pred.json", tmp_path / "gt.json")
        except LgadError as error:
            message = str(error)
        assert message == "figures" or ".json:1: " in message


def test_a_breakdown_with_a_label_of_another_length_is_an_error_too(tmp_path):
    record = {"raw_file": "a.jpg", "lanes": [[1, 2]], "h_samples": [300, 310], "run_time": 300}  # too slow
    (tmp_path / "pred.json").write_text(json.dumps(record))
    (tmp_path / "gt.json").write_text(json.dumps(record | {"lanes": [[1, 2, 3]]}))
    assert evaluate_tusimple(tmp_path / "pred.json", tmp_path / "gt.json").too_slow == 1  # as the official tool
    with pytest.raises(LgadError, match=r"pred\.json:1: "):
        evaluate_tusimple(tmp_path / "pred.json", tmp_path / "gt.json", breakdown=True)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(LgadError, match=r"none\.json"):
        evaluate_tusimple(tmp_path / "none.json", tmp_path / "none.json")


columns = st.lists(st.one_of(st.just(-2), st.integers(0, 1279)), min_size=5, max_size=5)


@given(st.lists(columns, max_size=5), st.lists(columns, max_size=5))
def test_figures_stay_within_their_bounds(preds, target):
    scores = tusimple_scores(preds, target, [300, 310, 320, 330, 340])
    assert 0 <= scores.accuracy <= 1
    assert scores.fp <= 1
    assert 0 <= scores.fn <= 1


@given(st.lists(columns, max_size=4))
def test_a_perfect_prediction_has_full_accuracy(lanes):
    assert tusimple_scores(lanes, lanes, range(300, 350, 10)) == (1.0 if lanes else 0.0, *[pytest.approx(0)] * 2)


def test_one_prediction_may_serve_several_lanes():
    assert tusimple_scores([[100, 100]], [[100, 100], [105, 105]], [300, 310]).fp == -1
