"""The example of docs/segmentation_models.md runs. It needs the zoo's environment: the library pulls torchvision in."""

import re
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lgad_lightning import ERFNet, LaneTeacher

from .distillation_toys import loader, make_trainer

pytestmark = pytest.mark.zoo

TEXT = (Path(__file__).parents[2] / "docs" / "segmentation_models.md").read_text()


def test_five_lines():
    lines = re.findall(r"```python\n(.*?)```", TEXT, re.S)[1].splitlines()
    assert len([line for line in lines if line.strip()]) == 5


def test_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip(
        "segmentation_models_pytorch", reason="needs segmentation_models_pytorch (the zoo session has it)"
    )
    monkeypatch.chdir(tmp_path)
    teacher = LaneTeacher(ERFNet(num_classes=5, in_channels=5, input_size=(288, 800)))
    trainer = make_trainer()
    trainer.strategy.connect(teacher)
    trainer.save_checkpoint("teacher.ckpt")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(block, names)
    module: L.LightningModule = names["LaneSegmenter"]()
    batches = [(torch.randn(2, 3, 64, 96), torch.randint(0, 5, (2, 64, 96))) for _ in range(2)]
    names["trainer"].fit(module, loader(batches))
    assert 0 < names["trainer"].callback_metrics["lgad/loss"] < 4
    assert all(key.startswith("model.") for key in module.state_dict())
