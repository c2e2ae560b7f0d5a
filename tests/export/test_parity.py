import numpy as np
import pytest

from lgad_lightning.data.synthetic import render, sample_scene
from lgad_lightning.export.parity import LaneParity, lane_parity, sample_frames
from lgad_lightning.inference.engine import TorchEngine
from tests.helpers.students import make_student


@pytest.mark.parametrize("size", [(590, 1640), (148, 410), (720, 1280)])
def test_sample_frames_are_roads(size: tuple[int, int]) -> None:
    """On noise a trained student finds no lanes, so that none would be compared."""
    frames = sample_frames(size)
    assert {frame.shape for frame in frames} == {(*size, 3)}
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    road = render(sample_scene("normal", np.random.default_rng(0)))
    assert frames[0].mean((0, 1)) == pytest.approx(road.mean((0, 1)), abs=1)
    np.testing.assert_array_equal(frames, sample_frames(size))


def test_points_that_differ_are_counted() -> None:
    frames = sample_frames((148, 410))
    engine, other = (TorchEngine(make_student(seed=seed)) for seed in (0, 1))
    same, different = lane_parity(engine, engine, frames), lane_parity(engine, other, frames)
    assert same.points > 100
    assert same == LaneParity(same.points, 0)
    assert 0 < different.differing <= different.points
