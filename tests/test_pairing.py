from typing import Any

import pytest
from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.pairing import ending_norm, layer_before_norm, pair_layers


def stages(*names: str) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for name in names})


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = stages("stage1", "stage2", "stage3")
        self.head = nn.Conv2d(3, 2, 1)


def test_pairs_by_name():
    student, teacher = nn.ModuleDict({"net": Network()}), Network()
    assert pair_layers(teacher, ["encoder.stage1"], teacher, None) == [("encoder.stage1", "encoder.stage1")]
    crossed = pair_layers(student, ["net.encoder.stage[12]"], teacher, ["encoder.stage3", "encoder.stage3"])
    assert crossed == [("net.encoder.stage1", "encoder.stage3"), ("net.encoder.stage2", "encoder.stage3")]
    with pytest.raises(LgadError, match="give one for each"):
        pair_layers(student, ["net.encoder.stage*"], teacher, ["encoder.stage1"])
    with pytest.raises(LgadError, match=r"did you mean encoder\.stage1"):
        pair_layers(student, ["net.encoder.stage1"], teacher, None)


def test_pairs_by_the_number_of_the_stage():
    resnet = nn.ModuleDict({"stem": nn.ReLU()} | dict(stages("layer1", "layer2", "layer3", "layer4")))
    resnet["layer1"] = nn.ModuleDict({"block1": nn.ReLU()})  # within a stage, so none itself
    assert pair_layers(nn.ModuleDict({"net": resnet}), None, Network(), None) == [
        (f"net.layer{number}", f"encoder.stage{number}") for number in (1, 2, 3)
    ]
    listed = nn.ModuleDict({"stages": nn.ModuleList([nn.ReLU(), nn.ReLU()])})
    assert pair_layers(listed, None, listed, None) == [("stages.0", "stages.0"), ("stages.1", "stages.1")]
    with pytest.raises(LgadError, match="the student has no layers named like"):
        pair_layers(nn.Sequential(nn.ReLU()), None, Network(), None)
    with pytest.raises(LgadError, match="two stages 1"):
        pair_layers(stages("stage1", "layer1"), None, Network(), None)
    with pytest.raises(LgadError, match="no stages to pair by number"):
        pair_layers(stages("stage7"), None, Network(), None)


class Block(nn.Module):
    """A stage of a published SegFormer: patches, blocks, and a norm."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 1)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(blocks))
        self.norm = nn.LayerNorm(8)


@pytest.mark.parametrize(
    ("layer", "before"),
    [
        (Block(), "stage.blocks.1"),
        (nn.ModuleList([nn.Conv2d(3, 8, 1), nn.ModuleList([nn.ReLU(), nn.ReLU()]), nn.LayerNorm(8)]), "stage.1.1"),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.LayerNorm(8)), "stage.0"),
        (nn.ModuleList([nn.ReLU(), nn.ReLU()]), "stage.1"),
        (nn.Sequential(nn.LayerNorm(8), nn.ReLU()), "stage"),
        (nn.LayerNorm(8), "stage"),
    ],
)
def test_the_layer_before_the_norm_is_taken(layer: Any, before: str):
    assert layer_before_norm("stage", layer) == before
    network = nn.ModuleDict({"stages": nn.ModuleList([layer])})
    name = before.replace("stage", "stages.0", 1)
    assert pair_layers(network, None, network, None) == [(name, name)]


def test_the_norm_at_the_end_of_a_layer_is_found():
    block = Block()
    assert ending_norm(block) is block.norm
    assert ending_norm(nn.Sequential(nn.ReLU(), block)) is block.norm
    assert ending_norm(nn.Sequential(block, nn.ReLU())) is None
    assert ending_norm(nn.ReLU()) is None


@pytest.mark.parametrize("kernel", [1, 3])
def test_numbered_layers_that_end_in_logits_are_refused(kernel: int):
    """lightning-bolts' U-Net is one flat list, with its decoder and its logits."""
    inner = [nn.Sequential(nn.ReLU()) for _ in range(5)]
    unet = nn.ModuleDict({"layers": nn.ModuleList([*inner, nn.Conv2d(8, 3, kernel)])})
    for student, teacher, owner in ((unet, Network(), "student"), (Network(), unet, "teacher")):
        with pytest.raises(
            LgadError, match=rf"of the {owner} are not stages.*layers\.5 is a single conv.*layers\.0, layers"
        ):
            pair_layers(student, None, teacher, None)
    assert pair_layers(unet, ["layers.1"], Network(), ["encoder.stage1"]) == [("layers.1", "encoder.stage1")]


def test_patterns_that_overlap_pair_a_layer_once():
    network = nn.ModuleDict({"stage1": nn.ReLU(), "stage2": nn.ReLU()})
    assert pair_layers(network, ["stage*", "stage1"], network, None) == [("stage1", "stage1"), ("stage2", "stage2")]
