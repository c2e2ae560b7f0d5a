import math
from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.candidates import (
    LIMITS,
    Candidate,
    existence_charts,
    precision_recall,
    read_candidates,
    write_candidates,
)
from lgad_lightning.reporting.judging import culane_rule
from tests.helpers.roads import SIZE, Roads, make_roads


def seen(x: float, existence: float) -> Candidate:
    return Candidate(existence, [(x, SIZE[0] - 1.0), (x, SIZE[0] // 2 + 1.0)])


@pytest.fixture
def roads(tmp_path: Path) -> Roads:
    return make_roads(tmp_path, 4)  # with 0, 1, 2 and 3 lanes, at 300, 600 and 900


def test_the_limit_trades_recall_for_precision(roads: Roads) -> None:
    frames = {
        "0.jpg": [seen(300, 0.32)],  # wrong
        "2.jpg": [seen(300, 0.92), seen(600, 0.52), seen(1200, 0.12)],  # the last is wrong
        "3.jpg": [seen(300, 0.72)],  # two are missed
    }
    scores = precision_recall(roads, frames, culane_rule())
    assert list(scores) == LIMITS
    assert scores[0.0] == (3 / 5, 3 / 5)
    assert scores[0.2] == (3 / 4, 3 / 5)
    assert scores[0.4] == (1, 3 / 5)
    assert scores[0.6] == (1, 2 / 5)
    assert scores[0.9] == (1, 1 / 5)
    assert math.isnan(scores[0.95][0])
    assert scores[0.95][1] == 0


def test_two_predictions_of_one_lane_find_it_once(roads: Roads) -> None:
    scores = precision_recall(roads, {"1.jpg": [seen(300, 0.9), seen(301, 0.8)]}, culane_rule())
    assert scores[0.5] == (1 / 2, 1)


def test_without_lanes_there_is_no_recall(roads: Roads) -> None:
    scores = precision_recall(roads, {"0.jpg": [], "nowhere.jpg": [seen(300, 0.9)]}, culane_rule())
    assert all(math.isnan(value) for pair in scores.values() for value in pair)


def test_charts_have_gaps_where_nothing_is_defined() -> None:
    by_limit, over = existence_charts({0.0: (0.5, 1.0), 0.5: (0.8, 0.6), 0.9: (math.nan, 0.0)})
    assert [list(series.y) for series in by_limit.series] == [[0.5, 0.8, None], [1.0, 0.6, 0.0]]
    assert (list(over.series[0].x), list(over.series[0].y)) == ([0.6, 1.0], [0.8, 0.5])
    assert len(existence_charts({0.0: (math.nan, 0.0)})) == 1


def test_candidates_are_stored(tmp_path: Path) -> None:
    frames = {"a b.jpg": [seen(300, 0.25)], "c.jpg": []}
    write_candidates(tmp_path / "candidates.json", frames)
    assert read_candidates(tmp_path / "candidates.json") == frames
    assert read_candidates(tmp_path / "nowhere.json") == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"a": [[1]]}', '{"a": [["x", []]]}', "\ufffd"])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "candidates.json").write_text(content)
    with pytest.raises(LgadError, match=r"candidates\.json is damaged"):
        read_candidates(tmp_path / "candidates.json")
