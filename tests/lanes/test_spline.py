from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from lgad_lightning.lanes import natural_spline

coordinates = st.integers(-4000, 4000)
distinct_points = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=20).filter(
    lambda points: all(a != b for a, b in pairwise(points))
)


@given(distinct_points)
@settings(max_examples=50)
def test_equals_scipys_natural_spline_over_chord_length(points):
    points = np.array(points, dtype=np.float64)
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    t = np.concatenate([np.linspace(a, b, 50, endpoint=False) for a, b in pairwise(length)])
    expected = CubicSpline(length, points, bc_type="natural")([*t, length[-1]])
    np.testing.assert_allclose(natural_spline(points), expected, rtol=1e-5, atol=2e-2)


@given(distinct_points)
def test_passes_through_the_points(points):
    np.testing.assert_array_equal(natural_spline(np.array(points))[::50], np.array(points, dtype=np.float32))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_points_come_back(count):
    points = np.arange(2.0 * count).reshape(count, 2)
    np.testing.assert_array_equal(natural_spline(points), points)


@pytest.mark.parametrize("points", [[[0, 0], [0, 0], [5, 5]], [[0, 0], [np.inf, 0], [5, 5]], [[1, 1]] * 3])
def test_undefined_splines_keep_their_last_point_only(points):
    samples = natural_spline(np.array(points, dtype=np.float64))
    assert np.isnan(samples[:-1]).all()
    np.testing.assert_array_equal(samples[-1], points[-1])
