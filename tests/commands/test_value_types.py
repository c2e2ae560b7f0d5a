from typing import Any

import pytest

from lgad_lightning.commands.value_types import check_node
from lgad_lightning.errors import LgadError

TRAINER = {"_target_": "lightning.Trainer"}
DATA = {"_target_": "lgad_lightning.SyntheticLaneDataModule"}
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (TRAINER | {"max_epochs": "abc"}, "node.max_epochs='abc' must be int or null"),
        (TRAINER | {"precision": "foo"}, "node.precision='foo' must be .*'bf16-mixed'"),
        (TRAINER | {"max_epoch": 1}, "node.max_epoch: .* Did you mean max_epochs"),
        (DATA | {"input_size": [1, "a"]}, "node.input_size"),
        (DATA | {"crop": 1}, "node.crop: .* Did you mean crop_top"),
        (DATA | {"mean": 0.5}, "node.mean"),
        (DATA | {"augmentation": {"_target_": "lgad_lightning.data.LaneAugmentation", "zoom": "x"}}, "tation.zoom='x'"),
        (ADAM | {"lr": None}, "node.lr=null must be float"),
        ({"_target_": "torch.optim.Nope"}, "node._target_=torch.optim.Nope"),
        ({"_target_": "lgad_lightning.LabelGuidedAttentionDistillation", "end": [1]}, "node.end"),
        ({"module": {"_target_": "lgad_lightning.LaneTeacher", "optimizer": 3}}, "node.module.optimizer=3"),
    ],
)
def test_tells_the_key_and_what_it_must_be(node: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        check_node("node", node)


@pytest.mark.parametrize(
    "node",
    [
        TRAINER | {"max_epochs": None, "devices": [0, 1], "precision": "16-mixed", "limit_val_batches": 0.5},
        DATA | {"mean": [1, 2, 3.0], "root": "/data", "label_cache": None, "channels": "bgr", "augmentation": False},
        {"_target_": "lgad_lightning.LaneTeacher", "network": "???", "optimizer": ADAM | {"lr": 1}},
        {"_target_": "builtins.dict", "anything": 1},
        {"_target_": "torch.nn.Conv2d", "dtype": "a name", "padding": "same"},  # dtype is of no declared type
    ],
)
def test_takes_what_constructors_take(node: dict[str, Any]) -> None:
    check_node("node", node)
