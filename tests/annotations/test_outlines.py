from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.annotations.bdd100k import lane_pixels
from lgad_lightning.annotations.outlines import middle_lines
from lgad_lightning.annotations.polylines import Polyline
from lgad_lightning.lanes import trace_parts


def marking(bottom: float, top: float, width: float, points: int) -> list[Polyline]:
    """Two outlines that come together at the top, as markings of a road do; the second one is drawn from above."""
    rows = np.linspace(719, 400, points)
    share = (rows - 400) / 319
    middle = top + (bottom - top) * share
    sides = [np.column_stack([middle + sign * width / 2 * share, rows]).tolist() for sign in (-1, 1)]
    return [sides[0], sides[1][::-1]]


def test_outlines_of_several_markings_find_their_partners_in_any_order() -> None:
    bottoms = (100, 380, 700, 1200)
    lines = [line for bottom in bottoms for line in marking(bottom, 600 + bottom / 20, 30, 7)]
    order = np.random.default_rng(0).permutation(len(lines))
    found = middle_lines([lines[place] for place in order], widest=40)
    assert sorted(line[0][0] for line in found) == pytest.approx(bottoms)
    for line in found:
        bottom = line[0][0]
        expected = np.interp([y for _, y in line], [400, 719], [600 + bottom / 20, bottom])
        assert [x for x, _ in line] == pytest.approx(expected, abs=1.5)


def test_lines_that_are_no_pair_stay_as_they_are() -> None:
    (left, right), short = marking(500, 600, 200, 5), [[500.0, 700.0], [503.0, 690.0]]
    lines = [left, right, short, [], [[7.0, 7.0]]]
    assert middle_lines(lines, widest=40) == lines


def test_a_line_that_is_annotated_once_takes_no_outline_of_another_marking() -> None:
    single = [[530.0, 719.0], [600.0, 400.0]]
    found = middle_lines([single, *marking(500, 600, 20, 9)], widest=40)
    assert found[0] == single
    assert found[1][0] == pytest.approx([500, 719])


def test_an_image_with_more_lines_than_any_road_is_left_alone() -> None:
    lines: list[Polyline] = [[[float(x), 0.0], [float(x), 9.0]] for x in range(10_000)]
    assert middle_lines(lines, widest=40) == lines


@pytest.mark.parametrize(("name", "outlines", "markings"), [("9cc4a501", 4, 2), ("c31cac5a", 5, 3)])
def test_outlines_of_real_masks_of_bdd100k_find_their_partners(
    name: str, outlines: int, markings: int, shared_dir: Path
) -> None:
    mask = cv2.imread(str(shared_dir / f"formats/bdd100k_lane_masks/fe189115-{name}.png"), cv2.IMREAD_UNCHANGED)
    lines = [lane.points.tolist() for lane in trace_parts(lane_pixels(mask))]
    assert (len(lines), len(middle_lines(lines, widest=40))) == (outlines, markings)
