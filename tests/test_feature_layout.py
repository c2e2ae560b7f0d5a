import re

import pytest
import torch
from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import channels_first, size_of_inputs


@pytest.mark.parametrize(
    ("shape", "size", "last"),
    [
        ((2, 8, 12, 192), (64, 96), True),  # torchvision's Swin
        ((2, 16, 24, 96), (64, 96), True),
        ((2, 15, 25, 96), (60, 100), True),
        ((2, 192, 8, 12), (64, 96), False),
        ((2, 12, 8, 12), (64, 96), False),
        ((2, 512, 2, 3), (64, 96), False),
        ((2, 64, 36, 100), (288, 800), False),
        ((2, 37, 103, 128), (295, 820), True),
        ((2, 8, 12, 192), None, False),
        ((2, 64, 64, 64), (256, 256), False),
    ],
)
def test_the_layout_is_seen_by_the_inputs_size(shape, size, last):
    features = torch.randn(shape)
    found = channels_first(features, size, nn.Identity(), "layer")
    assert torch.equal(found, features.permute(0, 3, 1, 2) if last else features)


def test_an_unclear_layout_is_refused_until_it_is_given():
    features, layer = torch.randn(2, 8, 8, 8), nn.Sequential(nn.LayerNorm(8))
    with pytest.raises(
        LgadError, match=r"output of stage is \(2, 8, 8, 8\).*64x64: give layout='nchw' or layout='nhwc'"
    ):
        channels_first(features, (64, 64), layer, "stage")
    assert torch.equal(channels_first(features, (64, 64), layer, "stage", "nchw"), features)
    assert torch.equal(channels_first(features, (64, 64), layer, "stage", "nhwc"), features.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("tokens", "size", "layout", "grid"),
    [
        (96, (64, 96), None, (8, 12)),
        (384, (64, 96), None, (16, 24)),  # HF SegFormer
        (197, (224, 224), None, (14, 14)),  # a ViT with its class token
        (3600, (288, 800), None, (36, 100)),
        (15 * 25, (60, 100), None, (15, 25)),
        (96, None, (8, 12), (8, 12)),
        (101, (64, 96), [8, 12], (8, 12)),  # a class token and four registers
    ],
)
def test_tokens_are_laid_out_row_by_row(tokens, size, layout, grid):
    features = torch.randn(2, tokens, 5)
    found = channels_first(features, size, nn.Linear(5, 5), "layer", layout)
    height, width = grid
    assert found.shape == (2, 5, height, width)
    for y, x in ((0, 0), (1, 3), (height - 1, width - 1)):
        assert torch.equal(found[:, :, y, x], features[:, tokens - height * width + y * width + x])


@pytest.mark.parametrize(
    ("shape", "size", "layout", "said"),
    [
        (
            (2, 101, 5),
            (64, 96),
            None,
            "tokens (B, N, C) of an input of 64x96, it fits no grid: give",
        ),
        ((2, 96, 5), None, None, "of unknown size (image= says where the images are), it fits no grid"),
        ((2, 80, 5), (64, 96), (8, 12), "too few tokens for layout=(8, 12)"),
        ((2, 384, 5), (64, 96), (8, 12), "too many tokens for layout=(8, 12)"),  # of another stage
        ((2, 8, 12, 192), None, None, "may be (B, C, H, W) or (B, H, W, C) for an input of unknown size (image="),
        ((2, 32, 64), (64, 128), None, "fits 4x8, but it may also be a map (B, H, W): give layout="),
        ((2, 8, 9, 10), (64, 96), (8, 12), "so layout=(8, 12) is not clear: give layout='nchw'"),
        ((2, 5), (64, 96), None, "a tensor of shape (2, 5), not (B, C, H, W)"),
    ],
)
def test_outputs_that_are_not_maps_are_refused(shape, size, layout, said):
    with pytest.raises(LgadError, match="output of stage is .*" + re.escape(said)):
        channels_first(torch.zeros(shape), size, nn.Linear(5, 5), "stage", layout)


def test_a_grid_says_where_the_channels_are():
    features = torch.randn(2, 8, 12, 5)
    assert torch.equal(channels_first(features, None, nn.Identity(), "x", (8, 12)), features.permute(0, 3, 1, 2))
    assert channels_first(features, None, nn.Identity(), "x", (12, 5)) is features


def test_size_of_what_a_network_is_called_with():
    assert size_of_inputs((3, torch.zeros(2, 64, 96))) == (64, 96)
    assert size_of_inputs((torch.zeros(2, 3, 64, 96),)) == (64, 96)
    assert size_of_inputs(()) is None


def test_a_convolution_of_unequal_strides_keeps_its_layout():
    """Its channels and rows have the shape of the input by chance."""
    features = torch.randn(2, 16, 32, 16)
    layer = nn.Sequential(nn.Conv2d(3, 16, 3, stride=(2, 8)), nn.BatchNorm2d(16), nn.ReLU())
    assert channels_first(features, (64, 128), layer, "layer") is features
    assert channels_first(features, (64, 128), nn.LayerNorm(16), "layer").shape == (2, 16, 16, 32)
