from typing import Any

import numpy as np
import pytest

from lgad_lightning.inference import FoundLane
from lgad_lightning.inference.tracking import LaneTracker

ROWS = (90, 80, 70)


def lane(x: float, slot: int = 1) -> FoundLane:
    return FoundLane([[x, y] for y in ROWS], (100, 200), slot, f"lane {slot}", 0.9, 0.8)


def columns(lanes: Any) -> list[float]:
    return [float(found.points[0, 0]) for found in lanes]


def test_a_lane_keeps_its_number_when_its_slot_changes() -> None:
    tracker = LaneTracker(weight=1.0)
    first = tracker.update([lane(50, 2), lane(120, 3)])
    second = tracker.update([lane(52, 1), lane(122, 2), lane(180, 3)])
    assert [found.track for found in first] == [0, 1]
    assert [found.track for found in second] == [0, 1, 2]
    assert [found.slot for found in second] == [1, 2, 3]
    assert columns(second) == [52, 122, 180]


def test_columns_are_the_exponential_mean() -> None:
    tracker, expected = LaneTracker(weight=0.25), 50.0
    tracker.update([lane(50)])
    for x in (54, 51, 58):
        expected = 0.25 * x + 0.75 * expected
        assert columns(tracker.update([lane(x)])) == pytest.approx([expected])


def test_noise_becomes_less() -> None:
    noise = np.random.default_rng(0).normal(scale=3, size=200)
    tracker = LaneTracker(weight=0.3)
    steady = [columns(tracker.update([lane(100 + value)]))[0] for value in noise]
    assert np.std(np.diff(steady)) < 0.5 * np.std(np.diff(noise))


def test_a_lane_may_be_unseen_for_a_while() -> None:
    tracker = LaneTracker()
    tracker.update([lane(50)])
    for _ in range(5):
        assert tracker.update([]) == []
    assert tracker.update([lane(50)])[0].track == 0
    for _ in range(6):
        tracker.update([])
    assert tracker.update([lane(50)])[0].track == 1


def test_a_lane_that_jumps_is_another() -> None:
    tracker = LaneTracker()
    tracker.update([lane(50)])
    [found] = tracker.update([lane(80)])
    assert (found.track, columns([found])) == (1, [80])


def test_a_lane_across_the_image_keeps_its_length() -> None:
    across = FoundLane([[x, 50] for x in range(150, 49, -10)], (100, 200), 1, "lane 1", 0.9, 0.8)
    tracker = LaneTracker()
    for _ in range(3):
        (found,) = tracker.update([across])
    assert found.points.tolist() == across.points.tolist()


@pytest.mark.parametrize("order", [1, -1])
def test_a_lane_that_stays_does_not_give_way_to_one_that_is_new(order: int) -> None:
    tracker = LaneTracker()
    tracker.update([lane(100), lane(108)][::order])
    found = tracker.update([lane(92), lane(100)])
    assert found[1].track == [0, 1][::order][0]
    assert columns(found)[1] == 100
