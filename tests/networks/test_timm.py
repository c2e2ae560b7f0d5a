import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.nn import functional as F

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import ResNet, TimmNet

from .tester import SIZE, NetworkTester

FOUR = {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm", reason="the zoo extra (timm) is not installed")


@pytest.mark.zoo
@pytest.mark.usefixtures("timm")
class TestTimmNet(NetworkTester):
    network_class = TimmNet
    kwargs: ClassVar[dict[str, Any]] = {"backbone": "test_efficientnet", "channels": 32}
    strides = FOUR
    multiple = 32


@pytest.mark.zoo
@pytest.mark.usefixtures("timm")
class TestTimmNetWithTheChannelsLast(NetworkTester):
    network_class = TimmNet
    kwargs: ClassVar[dict[str, Any]] = {"backbone": "test_mambaout", "channels": 32}
    strides = FOUR
    multiple = 32


@pytest.mark.zoo
@pytest.mark.usefixtures("timm")
class TestTimmNetOfAPlainTransformer(NetworkTester):
    network_class = TimmNet
    kwargs: ClassVar[dict[str, Any]] = {
        "backbone": "test_vit", "channels": 32, "options": {"dynamic_img_size": True},
    }  # fmt: skip
    strides: ClassVar[dict[str, int]] = {"stage1": 16, "stage2": 16, "stage3": 16}
    multiple = 16


@pytest.mark.zoo
def test_the_head_adds_up_the_features_at_an_eighth(timm: Any) -> None:
    torch.manual_seed(0)
    network = TimmNet("test_resnet", input_size=SIZE, channels=16).double().eval()
    backbone = timm.create_model("test_resnet").double().eval()
    backbone.load_state_dict(network.encoder.body.state_dict() | dict(backbone.fc.state_dict(prefix="fc.")))
    x = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    head = network.decoder.head
    total = torch.zeros(2, 16, 8, 12, dtype=torch.float64)
    features = backbone.maxpool(backbone.act1(backbone.bn1(backbone.conv1(x))))
    for number, layer in enumerate((backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)):
        features = layer(features)
        weight = head.lateral[number].weight[:, :, 0, 0]
        total += F.interpolate(torch.einsum("oi,bihw->bohw", weight, features), (8, 12), mode="bilinear")
    norm = head.norm
    total = (total - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    total = (total * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0)
    logits = torch.einsum("oi,bihw->bohw", head.classifier.weight[:, :, 0, 0], total)
    logits = F.interpolate(logits + head.classifier.bias[:, None, None], SIZE, mode="bilinear")
    torch.testing.assert_close(network(x).logits, logits)


@pytest.mark.zoo
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_come_from_a_file(timm: Any, ending: str, tmp_path: Path) -> None:
    weights = timm.create_model("test_convnext").state_dict()
    path = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save(weights, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(weights, path)
    network = TimmNet("test_convnext", in_channels=5, input_size=SIZE, pretrained=str(path))
    found = network.encoder.body.state_dict()["stages_2.blocks.0.conv_dw.weight"]
    assert torch.equal(found, weights["stages.2.blocks.0.conv_dw.weight"])
    assert type(network)(**network.made_with | network.rebuilt_with).encoder.body is not None


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("build", "name", "key"),
    [
        (lambda: TimmNet("test_resnet", pretrained=True).encoder.body, "test_resnet", "layer2.0.conv1.weight"),
        (lambda: ResNet(18, pretrained=True).encoder, "resnet18", "stage2.0.conv1.weight"),
    ],
)
def test_weights_come_from_the_hubs_cache(
    timm: Any, without_network: Path, build: Callable[[], torch.nn.Module], name: str, key: str
) -> None:
    weights = timm.create_model(name).state_dict()
    repository = without_network / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    revision = repository / "snapshots" / ("0" * 40)
    revision.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision.name)
    pytest.importorskip("safetensors.torch").save_file(weights, revision / "model.safetensors")
    torch.manual_seed(1)
    assert torch.equal(build().state_dict()[key], weights["layer2.0.conv1.weight"])


@pytest.mark.zoo
@pytest.mark.usefixtures("timm", "without_network")
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: TimmNet("test_resnet", pretrained=True), r"TimmNet\('test_resnet'\)"),
        (lambda: ResNet(pretrained=True), r"ResNet\(18\)"),
    ],
)
def test_without_network_and_cache_the_ways_out_are_told(build: Callable[[], TimmNet], name: str) -> None:
    with pytest.raises(LgadError, match=rf"The pretrained weights of {name} cannot .*HF_HOME.*pretrained=PATH"):
        build()


@pytest.mark.zoo
@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet81"}, "backbone='resnet81' is not known; there is resnet18"),
        ({"options": {"drop_pth_rate": 0.1}}, r"TimmNet\('test_resnet'\) cannot be made .*drop_pth_rate"),
        ({"pretrained": "nowhere.pth"}, "no file nowhere.pth"),
        ({"pretrained": __file__}, r"cannot be made with the weights of .*test_timm.py"),
    ],
)
def test_what_cannot_be_made_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        TimmNet(**{"backbone": "test_resnet", "input_size": SIZE, **arguments})


@pytest.mark.parametrize("kind", [TimmNet, ResNet])
def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LgadError, match=r'needs timm, which is not installed: pip install "lgad-lightning\[zoo\]"'):
        kind()
