import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.lanes import Lane, smoothed

NUMBERS = st.floats(-2, 2)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.booleans())
def test_a_cubic_comes_back(coefficients: tuple[float, ...], downward: bool) -> None:
    y = np.arange(589.0, 250, -20)[:: -1 if downward else 1]
    cubic = np.polynomial.Polynomial(coefficients, domain=[240, 600], window=[-1, 1])
    lane = smoothed(Lane(np.column_stack([cubic(y), y]), (590, 1640)))
    assert len(lane) == y.max() - y.min() + 1
    assert lane.points[0, 1] == y[0]
    np.testing.assert_allclose(lane.points[:, 0], cubic(lane.points[:, 1]), atol=1e-6)


def test_rounded_columns_are_smoothed_out() -> None:
    y = np.arange(589.0, 250, -20)
    true = 300 + 0.4 * y + 0.0003 * y**2
    lane = Lane(np.column_stack([np.round(true / 8) * 8, y]), (590, 1640))
    assert np.abs(smoothed(lane, y).points[:, 0] - true).mean() < 0.7 * np.abs(lane.points[:, 0] - true).mean()


def test_short_lanes_and_far_rows() -> None:
    two = Lane([[10, 50], [20, 40]], (100, 100))
    np.testing.assert_allclose(smoothed(two, [60, 45, 40, 30]).points, [[15, 45], [20, 40]])
    one = Lane([[10, 50]], (100, 100))
    assert smoothed(one) == one


def test_a_lane_that_lies_across_the_image_keeps_its_length() -> None:
    """An arch, as `MaskDecoder` finds it column by column: both ends are in the same row."""
    x = np.arange(180.0, 19, -1)
    arch = 60 + 0.002 * (x - 100) ** 2
    lane = smoothed(Lane(np.column_stack([x, np.round(arch)]), (100, 200)))
    np.testing.assert_array_equal(lane.points[:, 0], x)
    assert np.abs(lane.points[:, 1] - arch).max() < 0.5
