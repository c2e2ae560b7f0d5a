import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lgad_lightning.export.resize import OpenCvResize

SIDES = st.one_of(st.integers(1, 12), st.integers(1, 300))


@given(
    size=st.tuples(SIDES, SIDES),
    target=st.tuples(SIDES, SIDES),
    factors=st.sampled_from([None, None, (1, 1), (2, 2), (2, 1), (1, 2), (4, 4), (3, 2)]),
    levels=st.sampled_from([2, 256]),
    seed=st.integers(0, 2**31),
)
@example((590, 1640), (288, 800), None, 256, 0)
@example((350, 1640), (208, 976), None, 256, 0)
@example((720, 1280), (288, 800), None, 256, 0)
@example((576, 1600), (288, 800), None, 256, 0)  # which OpenCV averages
@example((576, 800), (288, 800), None, 256, 0)
@example((100, 205), (32, 96), None, 2, 0)
@settings(max_examples=150)
def test_pixels_are_those_of_opencv(
    size: tuple[int, int], target: tuple[int, int], factors: tuple[int, int] | None, levels: int, seed: int
) -> None:
    if factors:
        size = target[0] * factors[0], target[1] * factors[1]
    image = np.random.default_rng(seed).integers(0, levels, (*size, 3)) * (255 // (levels - 1))
    expected = cv2.resize(image.astype(np.uint8), target[::-1], interpolation=cv2.INTER_LINEAR)
    found = OpenCvResize(size, target)(torch.from_numpy(image).float())
    np.testing.assert_array_equal(found.numpy(), expected.transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(590, 1640), (576, 1600)])
def test_sixteen_bits_do_not_overflow(size: tuple[int, int]) -> None:
    """An engine that is told to compute in 16 bits is wrong by rounding only."""
    image = torch.randint(256, (*size, 3), generator=torch.Generator().manual_seed(0))
    image[:40] = 255
    expected = OpenCvResize(size, (288, 800))(image.float())
    found = OpenCvResize(size, (288, 800)).half()(image.half()).float()
    assert (found - expected).abs().max() <= 1
