from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_ROWS, Lane, TuSimpleFrame, write_tusimple
from lgad_lightning.reporting import tested
from lgad_lightning.reporting.frame_pictures import picture_of
from lgad_lightning.reporting.judging import (
    MOST_FRAMES,
    choose_frames,
    culane_rule,
    f1_by_threshold,
    judge_frames,
    recall_by_place,
    spread,
    tusimple_rule,
)
from lgad_lightning.reporting.tested import read_tested, write_tested
from tests.helpers.roads import Roads, lane, make_roads, predict


@pytest.fixture
def roads(tmp_path: Path) -> Roads:
    return make_roads(tmp_path)


def test_lanes_are_found_missed_and_wrong(roads: Roads) -> None:
    frames = judge_frames(roads, predict(roads, roads.root / "predictions", shift=100), culane_rule())
    assert [(frame.found, frame.right) for frame in frames[:4]] == [
        ([], []),
        ([False], [False]),
        ([True, False], [True, False]),
        ([True, True, False], [True, True, False]),
    ]
    assert [round(frame.f1, 3) for frame in frames[:4]] == [1, 0, 0.5, 0.667]


def test_f1_falls_with_the_threshold(roads: Roads) -> None:
    f1 = f1_by_threshold(judge_frames(roads, predict(roads, roads.root / "predictions", shift=5), culane_rule()))
    assert f1[0.5] == 1
    assert f1[0.95] == pytest.approx(0.5)  # six of the twelve lanes are shifted


def test_recall_tells_where(roads: Roads) -> None:
    frames = judge_frames(roads, predict(roads, roads.root / "predictions", shift=100), culane_rule())
    recall = recall_by_place(frames, 4)
    assert sum(part["annotated"] for part in recall["slots"].values()) == 12
    assert sum(part["found"] for part in recall["slots"].values()) == 6
    assert {part["recall"] for part in recall["rows"].values()} == {0.5}
    assert recall_by_place(frames, 1)["slots"] == {}


def test_frames_without_predictions_are_left_out(roads: Roads) -> None:
    frames = judge_frames(roads, predict(roads, roads.root / "predictions", leave_out=[0, 3]), culane_rule())
    assert [frame.index for frame in frames] == [1, 2, 4, 5, 6, 7]
    assert judge_frames(roads, roads.root / "nowhere", culane_rule()) == []


def test_of_many_frames_some_from_all_over_are_judged(roads: Roads) -> None:
    many = Roads(roads.root, list(roads.names) * 100, 4)
    frames = judge_frames(many, predict(roads, roads.root / "predictions"), culane_rule())
    assert len(frames) == MOST_FRAMES
    assert (frames[0].index, frames[-1].index) == (0, len(many) - 1)


def test_best_typical_and_worst(roads: Roads) -> None:
    frames = judge_frames(roads, predict(roads, roads.root / "predictions", shift=100), culane_rule())
    chosen = choose_frames(frames, count=2)
    assert [[frame.f1 for frame in some] for some in chosen.values()] == [
        [pytest.approx(2 / 3)] * 2,
        [0.5, 0.5],
        [0, 0],
    ]
    assert len({frame.index for some in chosen.values() for frame in some}) == 6
    assert [len(some) for some in choose_frames(frames[:3]).values()] == [0, 0, 2]


def test_tusimple_looks_at_rows(tmp_path: Path) -> None:
    size = (720, 1280)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((*size, 3), np.uint8))
    roads = Roads(tmp_path, ["a.png"] * 3, 6)
    rows = tuple(range(160, 711, 10))
    near = TuSimpleFrame("a.png", [lane(310, size), lane(900, size)], rows, 5.0)
    write_tusimple(tmp_path / "predictions" / "predictions.json", [near])
    frame = judge_frames(roads, tmp_path / "predictions", tusimple_rule())[2]
    assert (frame.found, frame.right) == ([True, False], [True, False])


def test_tusimple_looks_at_the_rows_of_the_label(tmp_path: Path) -> None:
    class Labelled(Roads):
        def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
            return {"h_samples": tuple(range(160, 501, 10))}

    size = (720, 1280)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((*size, 3), np.uint8))
    roads = Labelled(tmp_path, ["a.png"] * 2, 6)
    far = Lane([(300, 500), (300, 361)], size)  # it does not reach the lowest rows, where the label has no row
    write_tusimple(tmp_path / "predictions" / "predictions.json", [TuSimpleFrame("a.png", [far], TUSIMPLE_ROWS, 5.0)])
    write_tested(tmp_path / "tested.json", tested.Tested(roads, tusimple_rule(), 2))
    kept = read_tested(tmp_path / "tested.json")
    assert isinstance(kept, tested.Tested)
    for source in (roads, kept.source):
        assert judge_frames(source, tmp_path / "predictions", tusimple_rule())[1].found == [True]


def test_a_picture_is_small_and_marks_the_lanes(roads: Roads) -> None:
    frame = judge_frames(roads, predict(roads, roads.root / "predictions", shift=100), culane_rule())[2]
    picture = picture_of(frame, roads)
    assert [kind for kind, _ in picture["lines"]] == ["found", "missed", "right", "wrong"]
    assert picture["lines"][1][1] == "600,589 600,296"
    assert picture["caption"] == "1 found, 1 missed, 1 wrong"
    assert picture["scenario"] == "night"
    assert picture["image"].startswith("data:image/jpeg;base64,")
    assert len(picture["image"]) < 100_000


def test_a_damaged_prediction_is_told(roads: Roads) -> None:
    folder = predict(roads, roads.root / "predictions")
    (folder / "2.lines.txt").write_text("no numbers\n")
    with pytest.raises(LgadError, match=r"2\.lines\.txt"):
        judge_frames(roads, folder, culane_rule())


@given(st.integers(2, 300), st.integers(2, 300))
def test_frames_are_chosen_from_the_first_to_the_last(length: int, count: int) -> None:
    chosen = spread(length, count)
    assert (len(chosen), chosen[0], chosen[-1]) == (min(length, count), 0, length - 1)
    gaps = {after - before for before, after in pairwise(chosen)}
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
