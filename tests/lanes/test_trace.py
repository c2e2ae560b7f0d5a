from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lgad_lightning.lanes import (
    Frame,
    Lane,
    MaskDecoder,
    rasterise,
    read_lines,
    trace_lane,
    trace_parts,
    trace_slots,
)
from lgad_lightning.lanes.lists import read_pairs
from lgad_lightning.metrics.functional import culane_counts, culane_scores

SIZE = (590, 1640)
column = st.integers(-200, 1840)


@given(bottom=column, top=column, width=st.integers(4, 30))
def test_a_painted_line_is_traced_in_its_middle(bottom: int, top: int, width: int) -> None:
    lane = Lane([[bottom, 589], [top, 250]], SIZE)
    rows = np.arange(280, 560, 10)
    columns = lane.x_at(rows)
    inside = (columns > width * 3) & (columns < 1640 - width * 3)
    assume(inside.sum() > 3)
    traced = trace_lane(rasterise([lane], SIZE, width=width) > 0)
    assert traced is not None
    assume(np.ptp(traced.points[:, 0]) <= 2 * np.ptp(traced.points[:, 1]))
    assert np.abs(traced.x_at(rows) - columns)[inside].max() < 1.5
    assert (np.diff(traced.points[:, 1]) < 0).all()


def test_a_lying_line_is_traced_column_by_column() -> None:
    lane = Lane([[100, 400], [1500, 300]], SIZE)
    traced = trace_lane(rasterise([lane], SIZE, width=12) > 0)
    assert traced is not None
    x, y = traced.points[3:-3].T
    assert y == pytest.approx(np.interp(x, [100, 1500], [400, 300]), abs=1)


def test_dashes_of_one_class_are_one_lane_and_specks_of_none_are_no_lanes() -> None:
    label = np.zeros(SIZE, np.uint8)
    label[300:350, 800:810] = label[450:550, 800:810] = 3
    label[5, 5] = 1
    slots = trace_slots(label, 4)
    assert [lane is not None for lane in slots] == [False, False, True, False]
    assert {len(lane.points) for lane in trace_parts(label > 0)} == {6, 11}
    assert trace_parts(np.zeros(SIZE, bool)) == []


@given(bottom=column, top=column, height=st.integers(2, 589))
def test_a_part_is_traced_like_a_mask_of_its_own(bottom: int, top: int, height: int) -> None:
    label = rasterise([Lane([[bottom, 589], [top, 589 - height]], SIZE), Lane([[20, 9], [400, 200]], SIZE)], SIZE, 16)
    assume(cv2.connectedComponents((label > 0).astype(np.uint8))[0] == 3)
    own = [lane for lane in (trace_lane(label == 1), trace_lane(label == 2)) if lane is not None]
    parts = trace_parts(label > 0)
    assume(len(parts) == len(own))  # small parts are left out
    for one, other in zip(*(sorted(lanes, key=lambda lane: lane.points[0, 1]) for lanes in (own, parts)), strict=True):
        assert one.points == pytest.approx(other.points, abs=1e-9)


def test_a_mask_of_noise_gives_no_more_lanes_than_a_road_has() -> None:
    noise = np.random.default_rng(0).random(SIZE) > 0.6
    assert len(trace_parts(noise)) <= 64


def test_lanes_of_a_cut_input_lie_in_the_original_image() -> None:
    lane = Lane([[300, 589], [700, 300]], SIZE)
    label = rasterise([lane.cropped(240)], (88, 410), width=4)
    maps = torch.zeros(1, 2, 88, 410)
    maps[0, 1] = torch.from_numpy(label).float()
    [[found]] = MaskDecoder()(maps, None, [Frame(590, 1640, crop_top=240)])
    assert found.image_size == SIZE
    rows = np.arange(320, 570, 10)
    assert np.abs(found.x_at(rows) - lane.x_at(rows)).max() < 4


def test_lanes_traced_from_the_official_masks_of_real_frames_are_the_annotated_ones(shared_dir: Path) -> None:
    root = shared_dir / "real/culane"
    counts = np.zeros(3, int)
    for name, mask in read_pairs(root / "list/train_gt.txt"):
        label = cv2.imread(str(root / str(mask)), cv2.IMREAD_UNCHANGED)
        traced = [lane for lane in trace_slots(label, 4) if lane is not None]
        found = culane_counts(traced, read_lines((root / name).with_suffix(".lines.txt")))
        counts += [*found.tp, found.num_preds, found.num_target]
    assert counts[2] > 100
    assert culane_scores(*counts.tolist())["f1"] >= 0.99
