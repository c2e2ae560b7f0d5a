from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.lanes import CULANE_SIZE, Lane, culane_slots, draw_lane, natural_spline, rasterise, read_lines
from lgad_lightning.lanes.raster import apart

SIZE = (60, 100)


def full(patch, size=SIZE):
    """A patch on its image."""
    canvas = np.zeros(size, dtype=np.uint8)
    rows, columns = patch.mask.shape
    canvas[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.mask
    return canvas


def drawn_by_opencv(points, width, size=SIZE, padding=0):
    """The polyline on the image's canvas, or on one so large that nothing is cut."""
    canvas = np.zeros((size[0] + 2 * padding, size[1] + 2 * padding), dtype=np.uint8)
    pixels = np.rint(natural_spline(np.array(points, dtype=np.float64))).astype(int) + padding
    for start, end in pairwise(pixels):
        cv2.line(canvas, start.tolist(), end.tolist(), 1, width)
    return canvas[padding : padding + size[0], padding : padding + size[1]]


inside = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 59)), min_size=2, max_size=6)
around = st.lists(st.tuples(st.integers(-90, 190), st.integers(-90, 150)), min_size=2, max_size=6)
anywhere = st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12)), min_size=2, max_size=4)


def without_repeats(points):
    return [point for i, point in enumerate(points) if i == 0 or point != points[i - 1]]


@given(inside.map(without_repeats).filter(lambda points: len(points) > 1), st.sampled_from([1, 2, 3, 16, 30]))
@settings(max_examples=60, deadline=None)
def test_lanes_inside_the_image_are_opencvs_lines(points, width):
    patch = draw_lane(np.array(points, dtype=np.float64), SIZE, width)
    curve = np.rint(natural_spline(np.array(points, dtype=np.float64)))
    if (curve >= 0).all() and (curve < SIZE[::-1]).all():
        np.testing.assert_array_equal(full(patch), drawn_by_opencv(points, width))


@given(around.map(without_repeats).filter(lambda points: len(points) > 1))
@settings(max_examples=60, deadline=None)
def test_lanes_across_the_border_differ_from_uncut_lines_in_edge_pixels_only(points):
    patch = full(draw_lane(np.array(points, dtype=np.float64), SIZE, 16))
    uncut = drawn_by_opencv(points, 16, padding=200)
    kernel = np.ones((3, 3), dtype=np.uint8)
    assert not (patch & ~cv2.dilate(uncut, kernel) & 1).any()
    assert not (uncut[1:-1, 1:-1] & ~cv2.dilate(patch, kernel)[1:-1, 1:-1] & 1).any()


@given(anywhere, st.sampled_from([1, 30]))
@settings(max_examples=60, deadline=None)
def test_any_coordinates_can_be_drawn(points, width):
    patch = draw_lane(np.array(points), SIZE, width)
    assert patch.top + patch.mask.shape[0] <= SIZE[0]
    assert patch.left + patch.mask.shape[1] <= SIZE[1]


def test_segments_from_far_away_keep_their_direction():
    near = full(draw_lane(np.array([[-400, -400], [500, 500]]), SIZE, 4))
    far = full(draw_lane(np.array([[-1e9, -1e9], [1e9, 1e9]]), SIZE, 4))
    np.testing.assert_array_equal(far, near)
    assert near.any()


@pytest.mark.parametrize(
    ("start", "end", "width", "area"),
    [  # drawn by OpenCV 4.10 and 4.12; 5.0 gives other areas, and so do lines that are not cut
        ((-6, 51), (225, -136), 5, 507),
        ((53, 30), (-97, 54), 30, 2036),
        ((-11, 56), (288, 144), 30, 466),
        ((32, -19), (-300, 254), 16, 221),
        ((126, 41), (-71, -75), 30, 1566),
        ((46, 8), (18, -292), 30, 621),
        ((136, -10), (-166, 120), 5, 752),
    ],
)
def test_cut_lines_have_the_pixels_of_the_official_evaluator(start, end, width, area):
    assert draw_lane(np.array([start, end]), SIZE, width).mask.sum() == area


def test_a_lane_outside_is_empty():
    assert draw_lane(np.array([[-50, 0], [-50, 59]]), SIZE, 30).mask.size == 0


def test_two_equal_points_are_a_disc():
    disc = full(draw_lane(np.array([[50, 30], [50, 30]]), SIZE, 10))
    assert disc[30, 45:56].all()
    assert 60 < disc.sum() < 110


def test_classes_are_the_slots_and_later_ones_cover_earlier_ones():
    vertical, horizontal = Lane([[50, 0], [50, 59]], SIZE), Lane([[0, 30], [99, 30]], SIZE)
    label = rasterise([vertical, None, horizontal, Lane([[1, 1]], SIZE), None], SIZE, width=3)
    assert np.unique(label).tolist() == [0, 1, 3]
    assert label[30, 50] == 3
    assert label[5, 50] == 1


def test_a_repeated_point_does_not_change_a_label_map():
    points = [(10, 50), (40, 30), (60, 5)]
    once, twice = Lane(points, SIZE), Lane([points[0], points[1], *points[1:]], SIZE)
    np.testing.assert_array_equal(rasterise([once], SIZE, 3), rasterise([twice], SIZE, 3))


@pytest.mark.parametrize("size", [(30, 50), (60, 100), (33, 17)])
def test_lanes_are_scaled_to_the_label_map(size):
    label = rasterise([Lane([[-0.5, -0.5], [99.5, 59.5]], SIZE)], size, width=1)
    rows = np.arange(size[0])
    expected = (rows + 0.5) * size[1] / size[0] - 0.5
    columns = np.array([np.flatnonzero(row).mean() for row in label])
    np.testing.assert_allclose(columns, expected, atol=1.5)


@given(inside)
@settings(max_examples=30, deadline=None)
def test_flipped_lanes_cover_the_mirrored_pixels(points):
    lane = Lane(points, SIZE)
    label, mirrored = rasterise([lane], SIZE, width=5), rasterise([lane.flipped()], SIZE, width=5)[:, ::-1]
    kernel = np.ones((3, 3), dtype=np.uint8)  # rounding half to even is not symmetric
    assert not (label & ~cv2.dilate(mirrored, kernel) & 1).any()


def test_label_maps_of_real_lanes_are_near_the_official_masks(shared_dir):
    root = shared_dir / "real" / "culane"
    shared = covered = 0
    for line in (root / "list" / "train_gt.txt").read_text().splitlines()[:12]:
        image, mask, *_ = (field.lstrip("/") for field in line.split())
        official = cv2.imread(str(root / mask), cv2.IMREAD_UNCHANGED)
        lanes = read_lines((root / image).with_suffix(".lines.txt"))
        label = rasterise(culane_slots(lanes), CULANE_SIZE, width=16)
        shared += ((label == official) & (label > 0)).sum()
        covered += ((label > 0) | (official > 0)).sum()
    assert shared / covered > 0.93


@pytest.mark.parametrize("clicked", [(560.4, 350.2), (300.6, 700.3), (451, 500.5)])
def test_a_double_click_does_not_bend_a_drawn_lane(clicked):
    size, points = (720, 1280), [(300, 700), (450, 500), (560, 350)]
    place = min(range(3), key=lambda index: np.hypot(points[index][0] - clicked[0], points[index][1] - clicked[1]))
    twice = [*points[: place + 1], clicked, *points[place + 1 :]]
    once, again = (rasterise([Lane(one, size)], size) > 0 for one in (points, twice))
    assert (once & again).sum() / (once | again).sum() > 0.9


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=12))
def test_points_of_a_drawn_lane_are_apart(points):
    array = np.array(points, dtype=float).reshape(-1, 2)
    kept = apart(array)
    assert len(kept) == len(array) or len(kept) >= min(len(array), 2)
    assert np.array_equal(kept[:1], array[:1])
    assert np.array_equal(kept[-1:], array[-1:])
    assert (np.hypot(*np.diff(kept, axis=0).T)[:-1] >= 2).all() or len(array) < 3
