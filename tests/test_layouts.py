import pytest
import torch
from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.layouts import channels_first


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
    found = channels_first(features, size, nn.Conv2d(1, 1, 1), "layer")
    assert torch.equal(found, features.permute(0, 3, 1, 2) if last else features)


def test_what_may_be_either_is_refused_until_it_is_given():
    features, layer = torch.randn(2, 8, 8, 8), nn.Sequential(nn.LayerNorm(8))
    with pytest.raises(LgadError, match=r"stage puts out \(2, 8, 8, 8\).*64x64: give layout='nchw' or layout='nhwc'"):
        channels_first(features, (64, 64), layer, "stage")
    assert torch.equal(channels_first(features, (64, 64), layer, "stage", "nchw"), features)
    assert torch.equal(channels_first(features, (64, 64), layer, "stage", "nhwc"), features.permute(0, 3, 1, 2))
