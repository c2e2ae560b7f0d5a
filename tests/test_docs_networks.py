"""What docs/networks.md says of the networks."""

import re

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.networks import LaneNetwork
from tests.conftest import CHECKOUT
from tests.networks.tester import count

TEXT = (CHECKOUT / "docs" / "networks.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| `(\w+)`.* \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \|$", TEXT, re.MULTILINE)
LIBRARIES = {"ResNet": "timm", "ResNetSCNN": "timm", "TimmNet": "timm", "SmpNet": "segmentation_models_pytorch"}
LIBRARIES |= {"SegFormer": "transformers"}
OWN = {"enet", "erfnet", "scnn"}


def build(*overrides: str) -> LaneNetwork:
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=[*overrides, "data.input_size=[288,800]"])
    cfg.run_dir = "run"
    settings = OmegaConf.to_container(cfg, resolve=True)
    network: LaneNetwork = instantiate(settings["network"], _convert_="all")  # type: ignore[index, call-overload]
    return network.eval()


@torch.no_grad()
def multiplications(network: LaneNetwork) -> float:
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 288, 800))
    return counter.get_total_flops() / 2e9


def test_the_table_names_every_network() -> None:
    shipped = {path.stem for path in (CONFIG_DIR / "network").glob("*.yaml")}
    assert {row[0] for row in ROWS} == {name for name in shipped if not name.endswith("_small")}


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row[0], marks=() if row[0] in OWN else pytest.mark.zoo) for row in ROWS]
)
def test_the_table_is_right(row: tuple[str, str, str, str, str]) -> None:
    name, kind, parameters, existence, computed = row
    if (library := LIBRARIES.get(kind)) is not None:
        pytest.importorskip(library, reason="the network comes through an extra")
    network = build(f"network={name}")
    assert type(network).__name__ == kind
    assert f"{count(network):,}" == parameters
    assert f"{count(network.existence):,}" == existence
    assert f"{multiplications(network):.1f}" == computed


@pytest.mark.zoo
def test_the_commands_compose_and_the_fast_ones_are_fast() -> None:
    pytest.importorskip("timm", reason="needs the extra `zoo`")
    erfnet = multiplications(build("network=erfnet"))
    assert erfnet / multiplications(build("network=timm")) == pytest.approx(6, abs=0.5)
    assert erfnet / multiplications(build("network=timm", "network.backbone=efficientvit_b0")) == pytest.approx(
        20, abs=2
    )
    for words in re.findall(r"^lgad-fit (.*)$", TEXT, re.MULTILINE):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            assert compose("fit", overrides=words.split()).network
