"""The subclass of docs/subclassing.md, taken from there, works from Python, Hydra and LightningCLI."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.cli import LightningCLI
from omegaconf import MISSING

from lgad_lightning import ERFNet, LabelGuidedAttentionDistillation, LaneTeacher
from lgad_lightning.commands.nodes import build

from .distillation_toys import LabelNet, Module, Net, loader, make_batches, make_trainer, one_hot

DOCS = Path(__file__).parents[2] / "docs"


class TrainedTeacher(LabelNet):
    """As many channels as the student."""

    def __init__(self) -> None:
        super().__init__(width=4)


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[str]]:
    text = (DOCS / "subclassing.md").read_text()
    return {kind: re.findall(rf"```{kind}\n(.*?)```", text, re.S) for kind in ("python", "yaml")}


@pytest.fixture(autouse=True)
def _modules(blocks: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `my_distillation` and `my_networks` importable."""
    (tmp_path / "my_distillation.py").write_text(blocks["python"][0])
    monkeypatch.syspath_prepend(tmp_path)
    networks = type(sys)("my_networks")
    networks.TrainedTeacher = TrainedTeacher
    monkeypatch.setitem(sys.modules, "my_networks", networks)
    yield
    sys.modules.pop("my_distillation", None)


def explicit(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    student, teacher = (features.flatten(2) / temperature for features in (student, teacher))
    divergence = F.kl_div(student.log_softmax(2), teacher.softmax(2), reduction="none").sum(2).mean()
    return temperature**2 * divergence.item()


def check(callback: Any) -> None:
    assert type(callback).__name__ == "ChannelDistillation"
    assert (callback.weight, callback.temperature, callback.start) == (3.0, 2.0, 0.1)
    net = Net()
    image, label = make_batches(1)[0]
    wanted = explicit(net.encoder(image), callback.teacher.encoder(one_hot(label)), 2.0)
    callback.student_layers, callback.teacher_layers, callback.start = ["net.encoder.stage2"], ["encoder.stage2"], 0
    trainer = make_trainer(callback)
    trainer.fit(Module(net), loader([(image, label)]))
    assert float(trainer.callback_metrics["channels/loss"]) == pytest.approx(wanted, rel=1e-4)


def test_example_is_fifteen_lines(blocks: dict[str, list[str]]):
    body = blocks["python"][0].split("\n\n\n")[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


def test_from_python(blocks: dict[str, list[str]]):
    source = next(line for line in blocks["python"][1].splitlines() if line.startswith("callback ="))
    names = {"ChannelDistillation": import_module("my_distillation").ChannelDistillation, "teacher": TrainedTeacher()}
    exec(source, names)
    check(names["callback"])


def test_from_hydra(blocks: dict[str, list[str]]):
    config = yaml.safe_load(blocks["yaml"][0])
    assert config["teacher"] == MISSING  # by which lgad-fit knows that it is to fill it in
    check(build("distillation", config, teacher=TrainedTeacher()))
    check(build("distillation", config | {"teacher": {"_target_": "my_networks.TrainedTeacher"}}))


def test_from_lightning_cli(blocks: dict[str, list[str]], tmp_path: Path):
    config = yaml.safe_load(blocks["yaml"][1])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    cli = LightningCLI(Module, run=False, args=["--config", str(path)], save_config_callback=None)
    check(next(callback for callback in cli.trainer.callbacks if hasattr(callback, "temperature")))


def test_lgad_from_lightning_cli(blocks: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    teacher = LaneTeacher(ERFNet(num_classes=5, in_channels=5, input_size=(288, 800)))
    trainer = make_trainer()
    trainer.strategy.connect(teacher)
    trainer.save_checkpoint("teacher.ckpt")
    Path("config.yaml").write_text(blocks["yaml"][2])
    cli = LightningCLI(Module, run=False, args=["--config", "config.yaml"], save_config_callback=None)
    (callback,) = (one for one in cli.trainer.callbacks if isinstance(one, LabelGuidedAttentionDistillation))
    assert callback.teacher is not None
    assert torch.equal(next(callback.teacher.parameters()), next(teacher.parameters()))
    assert callback.student_layers == ["net.layer1", "net.layer2"]
