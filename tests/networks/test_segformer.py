import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from lgad_lightning.attention import attention_map
from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import channels_first
from lgad_lightning.networks import SegFormer
from lgad_lightning.networks.segformer import SIZES

from .tester import SIZE, NetworkTester


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library; and one block a stage is enough."""
    monkeypatch.setitem(SIZES, "b0", ([8, 16, 40, 32], [1, 1, 1, 1], 16))
    return pytest.importorskip("transformers", reason="needs the extra `transformers`")


@pytest.mark.zoo
@pytest.mark.usefixtures("transformers")
class TestSegFormer(NetworkTester):
    network_class = SegFormer
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
    multiple = 32


def theirs(transformers: Any) -> Any:
    widths, depths, head = SIZES["b0"]
    config = transformers.SegformerConfig(num_labels=5, hidden_sizes=widths, depths=depths, decoder_hidden_size=head)
    return transformers.SegformerForSemanticSegmentation(config).eval()


@pytest.mark.zoo
def test_it_computes_what_the_library_computes(transformers: Any) -> None:
    network = SegFormer(input_size=SIZE).eval()
    model = theirs(transformers)
    own = network.encoder.body.state_dict()
    model.segformer.stages.load_state_dict({k.replace("layer_norm.1.", "layer_norm."): v for k, v in own.items()})
    model.decode_head.load_state_dict(network.decoder.head.state_dict())
    x = torch.rand(2, 3, *SIZE)
    logits = torch.nn.functional.interpolate(model(x).logits, SIZE, mode="bilinear")
    torch.testing.assert_close(network(x).logits, logits)


@pytest.mark.zoo
@pytest.mark.usefixtures("transformers")
def test_the_attention_of_its_stages_differs_from_cell_to_cell() -> None:
    network = SegFormer(input_size=SIZE)
    seen: dict[str, torch.Tensor] = {}
    for number in (1, 2, 3):
        stage = network.get_submodule(f"encoder.stage{number}")
        stage.register_forward_hook(lambda _m, _i, output, name=f"stage{number}": seen.__setitem__(name, output))
    network(torch.rand(2, 3, *SIZE))
    for name, output in seen.items():
        attention = attention_map(channels_first(output, SIZE, torch.nn.Identity(), name))
        assert (attention.std((1, 2)) / attention.mean((1, 2))).min() > 1e-4, name  # 1e-7 behind the norm


@pytest.mark.zoo
def test_weights_come_from_a_folder_and_from_the_hubs_cache(
    transformers: Any, tmp_path: Path, without_network: Path
) -> None:
    model = theirs(transformers).segformer
    model.save_pretrained(tmp_path / "encoder")
    repository = without_network / "models--nvidia--mit-b0"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    model.save_pretrained(repository / "snapshots" / ("0" * 40))
    for source in (str(tmp_path / "encoder"), True):
        network = SegFormer(in_channels=5, input_size=SIZE, pretrained=source)
        found = network.encoder.body.state_dict()["2.blocks.0.mlp.fc1.weight"]
        assert torch.equal(found, model.stages.state_dict()["2.blocks.0.mlp.fc1.weight"])
        assert all(module.training for module in network.modules())


@pytest.mark.zoo
@pytest.mark.usefixtures("transformers", "without_network")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "b9"}, "variant='b9' is not known; there is b5"),
        ({"pretrained": "nowhere"}, "no file nowhere"),
        ({"pretrained": True}, r"weights of SegFormer\('b0'\) cannot be had from the hub .*HF_HOME.*pretrained=PATH"),
    ],
)
def test_what_cannot_be_made_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        SegFormer(**arguments)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        LgadError, match=r'needs transformers, which is not installed: pip install "lgad-lightning\[transformers\]"'
    ):
        SegFormer()
