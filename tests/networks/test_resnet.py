import sys
from typing import Any, ClassVar

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import ResNet

from .tester import NetworkTester, count


@pytest.fixture
def _timm() -> None:
    pytest.importorskip("timm", reason="the zoo extra (timm) is not installed")


@pytest.mark.zoo
@pytest.mark.usefixtures("_timm")
class TestResNet(NetworkTester):
    network_class = ResNet
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 8, "stage4": 8}


@pytest.mark.zoo
@pytest.mark.usefixtures("_timm")
class TestBottleneckResNet(NetworkTester):
    network_class = ResNet
    kwargs: ClassVar[dict[str, Any]] = {"depth": 50}
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 8, "stage4": 8}


@pytest.mark.zoo
@pytest.mark.usefixtures("_timm")
@pytest.mark.parametrize(("depth", "millions"), [(18, 11.82), (34, 21.93), (101, 43.34)])
def test_parameter_counts(depth: int, millions: float) -> None:
    """PytorchAutoDrive's counts, but for the existence head's own convolutions on the features."""
    network = ResNet(depth)
    head = count(network.existence.conv) + count(network.existence.norm) + count(network.existence.classifier)
    assert head == 37_093
    assert (count(network) - head) / 1e6 == pytest.approx(millions, abs=0.005)


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LgadError, match=r'pip install "lgad-lightning\[zoo\]"'):
        ResNet()
