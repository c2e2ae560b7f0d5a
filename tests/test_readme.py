"""What the README tells people to type."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import nn

import lgad_lightning
from lgad_lightning.commands.configs import CLI_CONFIG_DIR, CONFIG_DIR
from tests.conftest import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


class Net(nn.Module):
    """Somebody else's network."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.layer2 = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.encoder.layer3 = nn.Conv2d(8, 8, 3, stride=2, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        layer3: torch.Tensor = self.encoder.layer3(self.encoder.layer2(image))
        return layer3


class YourModule(lightning.LightningModule):
    """Somebody else's LightningModule."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.net(batch["image"]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_python_of_the_readme_runs(tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = {"train": 16, "val": 4, "test": 9, "image_size": (148, 410)}
    lgad_lightning.SyntheticLaneDataModule(tiny_root, **tiny).prepare_data()
    compose, own_module = PYTHON
    for printed, small in (
        ("/data/CULane", str(tiny_root)),
        ("input_size=(288, 800), batch_size=20", "input_size=(32, 96), batch_size=4, num_workers=0"),
        ("max_epochs=12", "fast_dev_run=2, accelerator='cpu'"),
        ("max_epochs=1", "fast_dev_run=2, accelerator='cpu'"),
    ):
        assert printed in compose
        compose = compose.replace(printed, small)
    names: dict[str, Any] = {}
    exec(compose, names)
    assert names["student"].test_results["total"]["fn"] + names["student"].test_results["total"]["tp"] > 0

    names |= {"your_module": YourModule(), "your_data": names["data"]}
    names["Trainer"] = lambda **options: lightning.Trainer(fast_dev_run=2, accelerator="cpu", **options)
    exec(own_module, names)


def test_every_command_of_the_readme_exists() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    known = {"python", *project["scripts"]}
    for command in COMMANDS:
        assert command.split()[0] in known, command
        for experiment in re.findall(r"\+experiment=(\w+)", command):
            assert (CONFIG_DIR / "experiment" / f"{experiment}.yaml").is_file()
        for config in re.findall(r"--config (\w+\.yaml)", command):
            assert (CLI_CONFIG_DIR / config).is_file()


@pytest.mark.parametrize("name", ["data", "predict", "export", "report"])
def test_the_readmes_options_exist(name: str) -> None:
    commands = [command.split("#")[0].split()[1:] for command in COMMANDS if command.startswith(f"lgad-{name} ")]
    parser = importlib.import_module(f"lgad_lightning.commands.{name}")._parser()
    for arguments in commands:
        parser.parse_args(arguments)
    assert commands


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (CHECKOUT / link).exists(), link


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in COMMANDS if "nox" in line]
    assert command in (CHECKOUT / ".ci" / "run").read_text()


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r"\b(?:TIME|OUTPUT|RUNS|TABLE)\b", README)
