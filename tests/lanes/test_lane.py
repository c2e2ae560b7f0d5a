import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.lanes import Frame, Lane

coordinates = st.floats(-3000, 3000, width=32)
lanes = st.lists(st.tuples(coordinates, coordinates), max_size=8).map(lambda points: Lane(points, (590, 1640)))


@given(lanes)
def test_flipping_twice_is_the_identity(lane):
    twice = lane.flipped().flipped()
    assert twice.image_size == lane.image_size
    np.testing.assert_allclose(twice.points, lane.points, atol=1e-9)


@given(lanes)
def test_scaling_there_and_back_is_the_identity(lane):
    np.testing.assert_allclose(lane.scaled((288, 800)).scaled((590, 1640)).points, lane.points, atol=1e-9)


@given(lanes)
def test_scaling_and_flipping_commute(lane):
    np.testing.assert_allclose(
        lane.scaled((288, 800)).flipped().points, lane.flipped().scaled((288, 800)).points, atol=1e-9
    )


def test_scaling_maps_the_borders_of_the_image_onto_each_other():
    corners = Lane([[-0.5, -0.5], [1639.5, 589.5]], (590, 1640)).scaled((288, 800))
    assert corners == Lane([[-0.5, -0.5], [799.5, 287.5]], (288, 800))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda lane: pickle.loads(pickle.dumps(lane))])
def test_copies_are_equal_and_hash_alike(duplicate):
    lane = Lane([[1.5, 2], [3, 4]], (10, 20))
    assert duplicate(lane) == lane
    assert hash(duplicate(lane)) == hash(lane)


def test_lanes_of_other_points_or_images_differ():
    lane = Lane([[1, 2]], (10, 20))
    assert lane != Lane([[1, 3]], (10, 20))
    assert lane != Lane([[1, 2]], (10, 21))
    assert lane != [[1, 2]]


def test_points_cannot_be_written_nor_reach_the_array_they_came_from():
    points = np.ones((2, 2))
    lane = Lane(points, (10, 20))
    points[0] = 7
    assert lane.points[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        lane.points[0] = 0


def test_x_at_rows_ignores_the_order_of_points_and_is_nan_outside():
    for points in ([[10, 100], [30, 300]], [[30, 300], [10, 100]]):
        np.testing.assert_array_equal(
            Lane(points, (590, 1640)).x_at([99, 100, 200, 300, 301]), [np.nan, 10, 20, 30, np.nan]
        )
    assert np.isnan(Lane([], (590, 1640)).x_at([1, 2])).all()


def test_cropping_moves_points_up_and_shortens_the_image():
    assert Lane([[5, 250]], (590, 1640)).cropped(240) == Lane([[5, 10]], (350, 1640))


def test_a_frame_is_not_cropped_unless_told():
    assert Frame(590, 1640).crop_top == 0
