import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lgad_lightning.lane_attention import balance_lanes, lane_shares

SIZE = (32, 64)


def label() -> Tensor:
    made = torch.zeros(2, *SIZE, dtype=torch.uint8)
    made[:, 4:28, 8:18], made[:, 4:28, 40:50] = 1, 2
    return made


def means(maps: Tensor, label: Tensor) -> Tensor:
    shares = lane_shares(label, (maps.shape[-2], maps.shape[-1]))
    return (maps[:, None] * shares).sum((2, 3)) / shares.sum((2, 3))


def test_shares_of_lanes_add_up_to_their_pixels() -> None:
    shares = lane_shares(label(), (8, 16))
    assert shares.sum((0, 2, 3)).tolist() == pytest.approx([2 * 240 / 16] * 2, rel=0.1)


def test_ignored_pixels_are_no_lane() -> None:
    shares = lane_shares(label().masked_fill(label() == 1, 255), SIZE)
    assert shares.shape == (2, 2, *SIZE)
    assert shares.sum((2, 3)).tolist() == [[0, 240], [0, 240]]


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.01, 100), st.sampled_from([SIZE, (16, 32), (8, 16), (5, 9)]))
def test_lanes_get_the_same_mean_and_the_rest_stays(seed: int, factor: float, size: tuple[int, int]) -> None:
    maps = torch.rand(2, *size, generator=torch.Generator().manual_seed(seed)) + 0.1
    maps[..., : size[1] // 2] *= factor  # the first lane is brighter, or darker
    found = balance_lanes(maps, label())
    wanted = means(maps, label()).mean(1, keepdim=True).expand(-1, 2)
    torch.testing.assert_close(means(found, label()), wanted, rtol=1e-3, atol=0)
    road = lane_shares(label(), size).sum(1) == 0
    torch.testing.assert_close(found[road], maps[road])


def test_a_lane_that_touches_a_corner_of_a_cell_does_not_darken_it() -> None:
    corner = torch.zeros(1, 64, 64, dtype=torch.long)
    corner[:, 48:, 48:] = 1
    torch.testing.assert_close(balance_lanes(torch.ones(1, 2, 2), corner), torch.ones(1, 2, 2))


def test_maps_without_lanes_are_not_changed() -> None:
    maps = torch.rand(2, 16, 32)
    for empty in (torch.zeros_like(label()), torch.full_like(label(), 255)):
        torch.testing.assert_close(balance_lanes(maps, empty), maps)
    dark = torch.zeros(2, 16, 32)
    torch.testing.assert_close(balance_lanes(dark, label()), dark)
