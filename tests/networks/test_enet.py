from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import ENet
from lgad_lightning.networks.enet import max_unpool

from .tester import NetworkTester, count


class TestENet(NetworkTester):
    network_class = ENet

    @pytest.mark.slow
    def test_compiled_computes_the_same(self) -> None:
        network = self.build().eval()
        expected = network(self.images())
        network.compile(fullgraph=True, backend="eager")  # others take up to half a minute
        torch.testing.assert_close(network(self.images()), expected, rtol=1e-4, atol=1e-4)


class TestSmallENet(NetworkTester):
    network_class = ENet
    kwargs: ClassVar[dict[str, Any]] = {"channels": (8, 24, 48), "dropout": (0.0, 0.2)}


def test_published_parameter_counts() -> None:
    assert count(ENet(existence=False)) == 349_622
    assert count(ENet()) == 963_359


@pytest.mark.parametrize("size", [(8, 12), (2, 2), (64, 6)])
def test_max_unpool_is_bit_equal_to_torch(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size).requires_grad_()
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(x)
    expected = nn.MaxUnpool2d(2)(pooled, indices)
    assert torch.equal(max_unpool(pooled, indices), expected)
    weight = torch.randn(2, 3, *size)
    (gradient,) = torch.autograd.grad((max_unpool(pooled, indices) * weight).sum(), x, retain_graph=True)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    assert torch.equal(gradient, expected_gradient)


def test_channels_must_ascend() -> None:
    with pytest.raises(LgadError, match=r"in_channels=17, but channels=\(16, 64, 128\)"):
        ENet(in_channels=17)
