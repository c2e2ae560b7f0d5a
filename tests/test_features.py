from copy import deepcopy
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.checkpoint import checkpoint

from lgad_lightning.errors import LgadError
from lgad_lightning.features import depends_on, find_layers, layer_names, named_layers, record_features


def stages(*names: str) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for name in names})


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = stages("stage1", "stage2", "stage3")
        self.head = nn.Conv2d(3, 2, 1)
        self.calls: list[str] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name, stage in self.encoder.items():
            self.calls.append(name)
            x = stage(x)
        self.calls.append("head")
        return self.head(x)


IMAGE = torch.ones(1, 3, 4, 4)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def test_names_and_patterns():
    network = Network()
    assert layer_names(network, ["encoder.stage2", "encoder.stage*"]) == [
        "encoder.stage2",
        "encoder.stage1",
        "encoder.stage2",
        "encoder.stage3",
    ]
    assert layer_names(network, ["*.stage?.1"]) == ["encoder.stage1.1", "encoder.stage2.1", "encoder.stage3.1"]
    assert find_layers(network, ["head"]) == find_layers(network, "head") == {"head": network.head}


def test_wrappers_are_no_part_of_a_name():
    network = Network()
    network.encoder["stage1"] = torch.compile(network.encoder["stage1"])
    wrapped = nn.ModuleDict({"net": torch.compile(network)})
    assert "net.encoder.stage1.0" in layer_names(wrapped, ["net.encoder.stage1.*"])
    assert layer_names(wrapped, ["net.encoder.stage*"])[0] == "net.encoder.stage1"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("encoder.stage4", "encoder.stage3"),
        ("encodr.stage2", "encoder.stage2"),
        ("network.encoder.stage2", "encoder.stage2"),
        ("backbone", "its outermost layers are encoder, head"),
        ("encoder.layer*", "encoder.stage1"),
    ],
)
def test_a_wrong_name_lists_near_matches(name: str, hint: str):
    with pytest.raises(LgadError, match=f"no layer of the student is named '{name}'.*{hint}".replace("*'", r"\*'")):
        layer_names(Network(), [name], "the student")


def test_recording_and_early_exit():
    network = Network()
    with record_features(find_layers(network, ["encoder.stage2", "encoder.stage1"]), last_call=2) as features:
        network(IMAGE)
        raise AssertionError("not reached")
    assert network.calls == ["stage1", "stage2"]
    first, second = features.maps(["encoder.stage1", "encoder.stage2"])
    assert torch.equal(second, network.encoder["stage2"](first))
    assert hooks(network) == 0


def test_early_exit_ends_the_block_it_belongs_to():
    outer, inner = Network(), Network()
    reached = False
    with record_features({"head": outer.head}, last_call=1) as features:
        with record_features({"head": inner.head}, last_call=1):
            outer(IMAGE)
        reached = True
    assert "head" in features.outputs
    assert not reached


def test_early_exit_passes_handlers_of_exceptions():
    class Stubborn(Network):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return super().forward(x)
            except Exception:
                return x

    network = Stubborn()
    with record_features({"stage1": network.encoder["stage1"]}, last_call=1):
        network(IMAGE)
    assert network.calls == ["stage1"]


def test_hooks_go_when_the_block_fails():
    network = Network()
    with pytest.raises(KeyboardInterrupt), record_features({"head": network.head}):
        raise KeyboardInterrupt
    assert hooks(network) == 0


def test_outputs_that_are_no_feature_maps_are_named():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.pair, self.unused = nn.Flatten(), nn.LSTM(4, 2), nn.ReLU()
            self.stem = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.pair(x[0])
            self.flat(x)
            return self.stem(x).relu_()

    network = Odd()
    with record_features(find_layers(network, ["*"]), owner="the student") as features:
        network(IMAGE)
    for name, message in {
        "unused": "'unused' of the student did not run",
        "pair": "output of layer 'pair' of the student is a tuple",
        "flat": r"output of layer 'flat' of the student is a tensor of shape \(1, 48\)",
        "stem": "'stem' of the student is changed in place",
    }.items():
        with pytest.raises(LgadError, match=message):
            features.maps([name])


def test_an_output_without_gradient_does_not_replace_one_with_gradient():
    network = Network()
    with record_features({"head": network.head}) as features:
        outputs = [network(IMAGE)]
        with torch.no_grad():
            network(IMAGE)
        assert features["head"] is outputs[0]
        outputs.append(network(IMAGE))
        assert features["head"] is outputs[1]
    with record_features({"head": network.head}) as features, torch.no_grad():
        outputs = [network(IMAGE), network(IMAGE)]
        assert features["head"] is outputs[1]
    features.maps(["head"])


def test_a_copy_made_meanwhile_records_nothing():
    network = Network()
    with record_features({"head": network.head}) as features:
        network(IMAGE)
        recorded = features["head"]
        copied = deepcopy(network)
        copied(IMAGE)
    copied(IMAGE)
    assert features["head"] is recorded


def test_dependence():
    network = Network()
    with record_features(find_layers(network, ["encoder.stage2"])) as features:
        output = network(IMAGE)
    recorded: Any = features.outputs.values()
    assert depends_on(output.sum(), recorded)
    assert depends_on(output.sum() + 1, [*recorded, (1, 2)])
    assert not depends_on(network.head(features["encoder.stage2"].detach()).sum(), recorded)
    assert not depends_on(torch.ones(()), recorded)
    recomputed = checkpoint(network.head, features["encoder.stage2"], use_reentrant=False)
    assert depends_on(recomputed.sum(), recorded)


@pytest.mark.parametrize(
    "wrap", [lambda x: (x,), lambda x: {"logits": x}, lambda x: {"out": x, "aux": x + 1}, lambda x: Output(x)]
)
def test_an_output_that_wraps_a_tensor_is_that_tensor(wrap: Any):
    class Wrapping(Network):
        def forward(self, x: torch.Tensor) -> Any:
            return wrap(super().forward(x))

    network = Wrapping()
    with record_features(find_layers(network, ["", "head"])) as features:
        network(IMAGE)
    whole, head = features.maps(["", "head"])
    assert torch.equal(whole, head)


class Output:
    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


def test_a_network_that_fabric_has_wrapped_keeps_its_names():
    network = Network()
    wrapped = Fabric(accelerator="cpu").setup(network)
    layers = find_layers(wrapped, ["encoder.stage1", "head"])
    assert layers == {"encoder.stage1": network.encoder["stage1"], "head": network.head}
    with record_features(layers) as features:
        output = wrapped(IMAGE)
    assert torch.equal(features["head"], output)


def test_a_layer_with_two_names_is_found_by_both():
    network: Any = nn.Module()
    network.net = nn.Sequential(nn.ReLU())
    network.backbone = network.net
    assert layer_names(network, ["backbone.0"]) == ["net.0"]
    assert list(named_layers(network)) == ["", "net", "net.0"]
