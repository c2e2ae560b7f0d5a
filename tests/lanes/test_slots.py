import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.lanes import (
    Lane,
    culane_slots,
    flip_label,
    flip_slots,
    rasterise,
    read_lines,
    read_tusimple,
    tusimple_slots,
)

CULANE, TUSIMPLE = (590, 1640), (720, 1280)


def culane_lane(bottom, image_size=CULANE):
    """A straight lane from x = `bottom` at the lower border to the middle of the image."""
    height, width = image_size
    y = np.linspace(height, height / 2, 20)
    x = bottom * width / 1640 + (width / 2 - bottom * width / 1640) * (height - y) / (height / 1.6)
    return Lane(np.stack([x, y], axis=1), image_size)


def tusimple_lane(bottom):
    return Lane([(640 + (bottom - 640) * share, 250 + 460 * share) for share in np.linspace(0.1, 1, 10)], TUSIMPLE)


def filled(slots):
    return [slot is not None for slot in slots]


@pytest.mark.parametrize(
    ("bottoms", "expected"),
    [
        ([], [None, None, None, None]),
        ([600], [None, 600, None, None]),
        ([1000], [None, None, 1000, None]),
        ([500, 1100], [None, 500, 1100, None]),
        ([100, 500], [None, 100, 500, None]),  # two lanes are always the ego lane's
        ([100, 500, 1100], [100, 500, 1100, None]),
        ([500, 1100, 1600], [None, 500, 1100, 1600]),
        ([100, 500, 1100, 1600], [100, 500, 1100, 1600]),
        ([-300, 100, 500, 1100, 1600, 1900], [100, 500, 1100, 1600]),
        ([-300, 100, 500], [100, 500, None, None]),  # all on the left
        ([900, 1300, 1700], [None, None, 900, 1300]),  # all on the right
    ],
)
@pytest.mark.parametrize("image_size", [CULANE, (295, 820), (360, 640)])
def test_culane_slots(bottoms, expected, image_size):
    lanes = {bottom: culane_lane(bottom, image_size) for bottom in bottoms}
    expected = [None if bottom is None else lanes[bottom] for bottom in expected]
    assert culane_slots(list(lanes.values())) == expected
    assert culane_slots(list(reversed(lanes.values()))) == expected


def test_culane_leaves_out_doubles_and_dots():
    lane = culane_lane(500)
    beside = Lane(lane.points + np.array([60, 0]), CULANE)
    apart = Lane(lane.points + np.array([140, 0]), CULANE)
    assert culane_slots([lane, beside]) == [None, lane, None, None]
    assert culane_slots([lane, apart]) == [None, lane, apart, None]
    assert (
        culane_slots([lane, Lane([[1100, 500]], CULANE), Lane([], CULANE), Lane([[9, 9]] * 3, CULANE)])[2:]
        == [None] * 2
    )


def test_culane_slots_of_real_frames_agree_with_the_official_existence_bits(shared_dir):
    root = shared_dir / "real" / "culane"
    agreeing = 0
    lines = (root / "list" / "train_gt.txt").read_text().splitlines()
    for line in lines:
        image, _, *bits = line.split()
        lanes = read_lines((root / image.lstrip("/")).with_suffix(".lines.txt"))
        agreeing += filled(culane_slots(lanes)) == [bit == "1" for bit in bits]
    assert agreeing >= len(lines) - 1  # one frame has a lane of four points that the official masks leave out


@pytest.mark.parametrize(
    ("bottoms", "num_slots", "expected"),
    [
        ([200, 1000], 6, [None, None, 200, 1000, None, None]),
        ([-400, 200, 1000], 6, [None, -400, 200, 1000, None, None]),
        ([-900, -400, 200, 1000, 1500], 6, [-900, -400, 200, 1000, 1500, None]),
        ([-900, -400, 200, 1000, 1500], 4, [-400, 200, 1000, 1500]),
        ([200], 2, [200, None]),
        ([], 6, [None] * 6),
    ],
)
def test_tusimple_slots(bottoms, num_slots, expected):
    lanes = {bottom: tusimple_lane(bottom) for bottom in bottoms}
    expected = [None if bottom is None else lanes[bottom] for bottom in expected]
    assert tusimple_slots(list(lanes.values()), num_slots) == expected
    assert tusimple_slots(list(reversed(lanes.values())), num_slots) == expected


def test_a_lane_that_leaves_the_image_on_the_left_keeps_its_slot():
    left, right = Lane([[-30, 700], [180, 300]], TUSIMPLE), Lane([[1000, 700], [700, 300]], TUSIMPLE)
    assert tusimple_slots([right, left], 2) == [left, right]


@pytest.mark.parametrize(("num_slots", "share"), [(6, 0.010), (4, 0.081)])
def test_tusimple_slots_lose_few_lanes_of_the_real_test_set(shared_dir, num_slots, share):
    frames = read_tusimple(shared_dir / "real" / "tusimple" / "test_set" / "test_label.json")
    lanes = sum(len(frame.lanes) for frame in frames)
    kept = sum(sum(filled(tusimple_slots(frame.lanes, num_slots))) for frame in frames)
    assert 1 - kept / lanes == pytest.approx(share, abs=0.002)


@given(st.lists(st.one_of(st.none(), st.integers(-500, 2000).map(culane_lane)), max_size=6))
def test_flipping_slots_twice_is_the_identity(slots):
    twice = flip_slots(flip_slots(slots))
    assert filled(twice) == filled(slots)
    for lane, again in zip(slots, twice, strict=True):
        if lane is not None:
            np.testing.assert_allclose(again.points, lane.points, atol=1e-9)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 255]), min_size=1, max_size=30), st.sampled_from([4, 6]))
def test_flipping_a_label_map_twice_is_the_identity(pixels, num_slots):
    label = np.array([pixels], dtype=np.uint8)
    np.testing.assert_array_equal(flip_label(flip_label(label, num_slots), num_slots), label)


def test_a_flipped_label_map_is_that_of_the_flipped_slots():
    slots = [culane_lane(bottom) for bottom in (100, 500, 1100)] + [None]
    flipped = flip_label(rasterise(slots, (59, 164), width=1), num_slots=4)
    expected = rasterise(flip_slots(slots), (59, 164), width=1)
    assert set(np.unique(flipped)) == {0, 2, 3, 4}
    assert (flipped != expected).mean() < 0.01  # rounding half to even is not symmetric
