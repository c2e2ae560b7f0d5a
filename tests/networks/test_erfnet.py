from typing import Any, ClassVar

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import ERFNet

from .tester import NetworkTester, count


class TestERFNet(NetworkTester):
    network_class = ERFNet


class TestSmallERFNet(NetworkTester):
    network_class = ERFNet
    kwargs: ClassVar[dict[str, Any]] = {"channels": (8, 24, 48), "dropout": (0.0, 0.2)}


def test_published_parameter_counts() -> None:
    assert count(ERFNet(input_size=(288, 800))) == 2_677_663
    network = ERFNet(input_size=(208, 976))
    assert count(network) == 2_609_183
    assert count(network.encoder) == 1_874_689
    assert count(network.decoder) == 189_237
    assert count(network.existence) == 545_257


def test_channels_must_ascend() -> None:
    with pytest.raises(LgadError, match=r"in_channels=3, but channels=\(16, 16, 128\)"):
        ERFNet(channels=(16, 16, 128))
