"""What docs/data.md tells people to write: augmentation and a data set of their own, in Python and by both commands."""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lgad_lightning import CULaneDataModule
from lgad_lightning.data.synthetic import SyntheticData, generate
from tests.conftest import CHECKOUT
from tests.helpers.commands import TINY, cli_config, run

TEXT = (CHECKOUT / "docs" / "data.md").read_text()
WEATHER, STREAM, OWN = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
FOLDER, FIT, CLI = re.findall(r"^(lgad-fit .*|lgad-cli .*)$", TEXT, re.MULTILINE)
SMALL = {"input_size": (36, 80), "batch_size": 4, "num_workers": 0}


@pytest.fixture(scope="module")
def culane(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = SyntheticData(train=16, val=4, test=9, image_size=(148, 410))
    return generate(data, tmp_path_factory.mktemp("culane") / "roads", workers=0)


@pytest.fixture(scope="module")
def folder(culane: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with the module of the page and a data set that it reads."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_roads.py").write_text(OWN)
    for split in ("train", "val", "test"):
        (folder / "ROADS" / split).mkdir(parents=True)
        for path in culane.glob(f"driver*/{split}_*.MP4/*"):
            shutil.copy(path, folder / "ROADS" / split / path.name)
    return folder


@pytest.fixture(autouse=True)
def _importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield
    sys.modules.pop("my_roads", None)


def test_other_augmentation(culane: Path) -> None:
    names: dict[str, Any] = {}
    exec(WEATHER, names)
    images = []
    for augmentation in (True, names["Weather"]()):
        data = CULaneDataModule(culane, augmentation=augmentation, **SMALL)
        data.setup("fit")
        images.append(torch.cat([batch["image"] for batch in data.train_dataloader()]))
    assert not torch.equal(*images)


def test_a_packed_data_set_has_the_modules_own_name() -> None:
    assert eval(STREAM, {"CULaneDataModule": CULaneDataModule}).packed == "s3://roads/culane"


def test_own_data_in_python(folder: Path) -> None:
    data = import_module("my_roads").MyDataModule(folder / "ROADS", num_slots=4, **SMALL)
    data.prepare_data()
    data.setup()
    assert [len(data.datasets[split]) for split in ("train", "val", "test")] == [16, 4, 9]
    assert sum(float(batch["existence"].sum()) for batch in data.train_dataloader()) > 16


@pytest.mark.slow
def test_own_data_through_lgad_fit(folder: Path) -> None:
    tiny = [option for option in TINY if not option.startswith(("data.train", "data.val", "data.test", "data.image"))]
    run("lgad-fit", *FIT.split()[1:], *tiny, "hydra.run.dir=run", folder=folder)
    assert (folder / "run" / "metrics.json").is_file()


@pytest.mark.slow
def test_other_numbers_of_slots_are_refused_before_training(folder: Path) -> None:
    result = run("lgad-fit", "data=folder", "data.root=ROADS", "data.num_slots=2", folder=folder, fails=True)
    assert "The network has 5 classes, the data 3" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_folder_with_two_slots_through_lgad_fit(folder: Path) -> None:
    tiny = [option for option in TINY if not option.startswith(("data.train", "data.val", "data.test", "data.image"))]
    run("lgad-fit", *FOLDER.replace("ROOT", "ROADS").split()[1:], *tiny, "hydra.run.dir=two", folder=folder)
    assert len(list((folder / "two").rglob("*.lines.txt"))) == 9


@pytest.mark.slow
def test_own_data_through_lightning_cli(folder: Path) -> None:
    name = re.search(r"--config (\S+)", CLI)[1]  # type: ignore[index]
    config = cli_config(name)
    config["model"]["init_args"]["network"]["init_args"] |= {"input_size": [32, 96], "channels": [8, 16, 24]}
    config["data"]["init_args"] |= {"input_size": [32, 96], "crop_top": 48, "batch_size": 4, "num_workers": 0}
    config["trainer"] |= {"accelerator": "cpu", "devices": 1, "max_epochs": 1}
    (folder / name).write_text(yaml.safe_dump(config))
    run("lgad-cli", *CLI.split()[1:], folder=folder)
    assert list(folder.glob("outputs/culane_erfnet_teacher/*.ckpt"))
