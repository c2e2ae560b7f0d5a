"""A network of somebody's own, which knows nothing of the package, through the commands and back."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lgad_lightning import LgadError, load_student
from tests.helpers.commands import TINY, cli_config, run

NETWORK = """
from torch import nn
from lgad_lightning.networks import LaneOutput

class Plain(nn.Module):
    def __init__(self, width=4, num_classes=5):
        super().__init__()
        self.num_classes = num_classes
        self.layer = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, num_classes, 1))

    def forward(self, image):
        return LaneOutput(self.layer(image), None)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "plain_net_of_mine.py").write_text(NETWORK)
    return folder


def through_fit(folder: Path, root: Path) -> Path:
    node = "network={_target_: plain_net_of_mine.Plain, num_classes: 5, width: 6}"
    tiny = [word for word in TINY if not word.startswith(("network", "teacher", "trainer.max"))]
    arguments = (*tiny, "~network", f"+{node}", "distillation=none", "trainer.max_epochs=1", f"data.root={root}")
    run("lgad-fit", *arguments, "hydra.run.dir=run", folder=folder)
    return folder / "run" / "student" / "checkpoints" / "best.ckpt"


def through_cli(folder: Path, root: Path) -> Path:
    config = cli_config("culane_erfnet_student.yaml")
    arguments = {"width": 6, "num_classes": 5}
    config["model"]["init_args"]["network"] = {"class_path": "plain_net_of_mine.Plain", "init_args": arguments}
    config["data"]["init_args"] |= {
        "root": str(root), "input_size": [32, 96], "crop_top": 48, "batch_size": 4, "num_workers": 0,
    }  # fmt: skip
    config["trainer"] |= {"accelerator": "cpu", "devices": 1, "max_epochs": 1}
    config["trainer"]["callbacks"] = config["trainer"]["callbacks"][1:2]  # the best checkpoint, without a teacher
    (folder / "own.yaml").write_text(yaml.safe_dump(config))
    run("lgad-cli", "fit", "--config", "own.yaml", folder=folder)
    return folder / "outputs" / "culane_erfnet_student" / "best.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("train", [through_fit, through_cli])
def test_its_checkpoint_is_enough(
    folder: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch, train: Callable[[Path, Path], Path]
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    checkpoint = train(folder, tiny_root)
    monkeypatch.delitem(sys.modules, "plain_net_of_mine", raising=False)
    with pytest.raises(LgadError, match="import it first"):
        load_student(checkpoint)
    monkeypatch.syspath_prepend(folder)
    import plain_net_of_mine  # noqa: F401

    student = load_student(checkpoint)
    assert student(torch.zeros(1, 3, 32, 96)).logits.shape == (1, 5, 32, 96)
    assert student.network.layer[0].out_channels == 6
