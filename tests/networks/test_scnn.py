from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import SCNN, ERFNet, ResNet, ResNetSCNN
from lgad_lightning.networks.scnn import MessagePassing
from lgad_lightning.pairing import pair_layers

from .tester import NetworkTester, count


class TestSCNN(NetworkTester):
    network_class = SCNN
    kwargs: ClassVar[dict[str, Any]] = {"channels": (8, 16, 24), "kernel": 5}
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 8, "stage4": 8}


@pytest.mark.zoo
def test_the_messages_come_behind_the_features_of_resnet() -> None:
    pytest.importorskip("timm", reason="the zoo extra (timm) is not installed")
    torch.manual_seed(0)
    network, plain = ResNetSCNN(input_size=(64, 96)).eval(), ResNet(input_size=(64, 96)).eval()
    stages = [f"encoder.stage{number}" for number in range(1, 6)]
    assert pair_layers(network, None, network, None) == list(zip(stages, stages, strict=True))
    assert count(network) == count(plain) + 589_824
    plain.load_state_dict({key: value for key, value in network.state_dict().items() if "stage5" not in key})
    x = torch.rand(1, 3, 64, 96)
    (features,) = plain.encoder(x)
    torch.testing.assert_close(network(x).logits, plain.decoder(network.encoder.stage5(features)))


def test_the_messages_have_the_published_number_of_parameters() -> None:
    network, erfnet = SCNN(input_size=(288, 800)), ERFNet(input_size=(288, 800))
    assert count(network.encoder.stage4) == 4 * 128 * 128 * 9 == 589_824
    assert count(network) == count(erfnet) - count(erfnet.encoder.classifier) + 589_824 == 3_266_842


def test_messages_are_those_of_the_definition() -> None:
    torch.manual_seed(0)
    passing = MessagePassing(3, kernel=9).double()
    x = torch.randn(2, 3, 6, 13, dtype=torch.float64)
    expected = x.numpy().copy()
    for name, axis, order in (("down", 2, 1), ("up", 2, -1), ("right", 3, 1), ("left", 3, -1)):
        weight = getattr(passing, name).weight.detach().numpy().reshape(3, 3, 9)
        lines = np.moveaxis(expected, axis, 0)[::order]  # views of `expected`, changed in place
        for before, line in pairwise(lines):
            padded = np.pad(before, ((0, 0), (0, 0), (4, 4)))
            for place in range(line.shape[2]):
                message = np.einsum("oik,bik->bo", weight, padded[:, :, place : place + 9])
                line[:, :, place] += np.maximum(message, 0)
    np.testing.assert_allclose(passing(x).detach().numpy(), expected, rtol=1e-9)


def test_messages_reach_the_far_corner_and_do_not_explode() -> None:
    torch.manual_seed(0)
    passing = MessagePassing(16)
    x = torch.zeros(1, 16, 36, 100, requires_grad=True)
    y = passing(x + torch.randn(1, 16, 36, 100))
    assert 0.5 < float(y.std()) < 10
    (gradient,) = torch.autograd.grad(y[0, :, -1, -1].sum(), x)
    assert gradient[0, :, 0, 0].abs().sum() > 0


def test_it_is_exported_and_computes_the_same() -> None:
    torch.manual_seed(0)
    network = SCNN(input_size=(32, 64), channels=(8, 16, 24), existence=False).eval()
    x = torch.randn(1, 3, 32, 64)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x).logits, network(x).logits)


@pytest.mark.parametrize("kernel", [8, 0, -1])
def test_a_width_that_has_no_middle_is_refused(kernel: int) -> None:
    with pytest.raises(LgadError, match="odd number"):
        SCNN(input_size=(32, 96), channels=(8, 16, 24), kernel=kernel)
