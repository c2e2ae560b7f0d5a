import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from lgad_lightning.errors import LgadError
from lgad_lightning.networks import SmpNet

from .tester import SIZE, NetworkTester

SMALL = {"decoder_channels": [16, 16, 8, 8, 8]}


@pytest.fixture
def smp() -> Any:
    return pytest.importorskip("segmentation_models_pytorch", reason="the zoo extra is not installed")


@pytest.mark.zoo
@pytest.mark.usefixtures("smp")
class TestSmpNet(NetworkTester):
    network_class = SmpNet
    kwargs: ClassVar[dict[str, Any]] = {"encoder": "mobilenet_v2", "options": SMALL}
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
    multiple = 32


@pytest.mark.zoo
def test_every_architecture_is_a_lane_network(smp: Any) -> None:
    narrow = {"decoder_fusion_channels": 16, "decoder_intermediate_channels": [8, 8, 8, 8]}
    for architecture in smp.MODEL_ARCHITECTURES_MAPPING:
        dpt = architecture == "dpt"
        encoder, options = ("tu-test_vit", narrow | {"dynamic_img_size": True}) if dpt else ("tu-test_resnet", {})
        network = SmpNet(architecture, encoder, in_channels=5, input_size=(128, 192), options=options).eval()
        logits, existence = network(torch.rand(2, 5, 128, 192))
        assert logits.shape == (2, 5, 128, 192), architecture
        assert existence.shape == (2, 4), architecture


@pytest.mark.zoo
@pytest.mark.usefixtures("smp")
def test_a_dilated_encoder_takes_smaller_multiples() -> None:
    network = SmpNet("DeepLabV3Plus", "tu-test_resnet", input_size=(48, 80)).eval()
    seen: dict[int, int] = {}
    for number in range(1, 5):
        stage = network.get_submodule(f"encoder.stage{number}")
        stage.register_forward_hook(
            lambda _m, _i, output, number=number: seen.__setitem__(number, 48 // output.shape[2])
        )
    assert network(torch.rand(1, 3, 48, 80)).logits.shape == (1, 5, 48, 80)
    assert seen == {1: 4, 2: 8, 3: 16, 4: 16}


@pytest.mark.zoo
def test_it_computes_what_the_library_computes(smp: Any) -> None:
    torch.manual_seed(0)
    theirs = smp.create_model("FPN", "tu-test_resnet", encoder_weights=None, classes=5).eval()
    ours = SmpNet("FPN", "tu-test_resnet", input_size=SIZE).eval()
    ours.encoder.body.load_state_dict(theirs.encoder.state_dict())
    ours.decoder.head.decoder.load_state_dict(theirs.decoder.state_dict())
    ours.decoder.head.classifier.load_state_dict(theirs.segmentation_head.state_dict())
    x = torch.rand(2, 3, *SIZE)
    torch.testing.assert_close(ours(x).logits, theirs(x), rtol=0, atol=0)


@pytest.mark.zoo
@pytest.mark.usefixtures("smp")
@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-test_resnet"])
def test_weights_come_from_a_file(encoder: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    if encoder.startswith("tu-"):
        timm = pytest.importorskip("timm")
        weights = timm.create_model(encoder.removeprefix("tu-")).state_dict()
        name = "layer2.0.conv1.weight"
    else:
        weights = SmpNet("FPN", encoder, input_size=SIZE).encoder.body.state_dict()
        name = "features.5.conv.0.0.weight"
    torch.save(weights, tmp_path / "encoder.pth")
    torch.manual_seed(2)
    network = SmpNet("FPN", encoder, in_channels=5, input_size=SIZE, pretrained=str(tmp_path / "encoder.pth"))
    found = {key.removeprefix("model."): value for key, value in network.encoder.body.state_dict().items()}
    assert torch.equal(found[name], weights[name])
    assert network(torch.rand(2, 5, *SIZE)).logits.shape == (2, 5, *SIZE)


@pytest.mark.zoo
@pytest.mark.usefixtures("smp")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "Unett"}, "architecture='unett' is not known; there is unet"),
        ({"encoder": "resnet81"}, "encoder='resnet81' is not known; there is resnet18"),
        ({"options": {"decoder_chanels": 3}}, "option='decoder_chanels' is not known; there is decoder_channels"),
        ({"encoder": "tu-test_resnet", "options": {"blok": 3}}, "SmpNet.* cannot be made .*blok"),
        ({"options": {"encoder_depth": 1, "decoder_channels": [8]}}, "down to a quarter"),
        ({"pretrained": "nowhere.pth"}, "no file nowhere.pth"),
        ({"pretrained": __file__}, "cannot be made with the weights of .*test_smp.py"),
    ],
)
def test_what_cannot_be_made_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        SmpNet(**{"input_size": SIZE, **arguments})


@pytest.mark.zoo
@pytest.mark.usefixtures("smp", "without_network")
@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_resnet"])
def test_without_network_and_cache_the_ways_out_are_told(encoder: str) -> None:
    with pytest.raises(LgadError, match=rf"SmpNet\('Unet', '{encoder}'\) cannot be had .*HF_HOME.*pretrained=PATH"):
        SmpNet(encoder=encoder, pretrained=True)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(
        LgadError,
        match=r'needs segmentation_models_pytorch, which is not installed: pip install "lgad-lightning\[zoo\]"',
    ):
        SmpNet()
