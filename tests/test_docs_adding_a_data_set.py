"""What docs/adding_a_data_set.md tells people to write, and the commands that it gives."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from lgad_lightning.data.synthetic import SyntheticData, generate
from tests.conftest import CHECKOUT
from tests.helpers.commands import TINY, run

TEXT = (CHECKOUT / "docs" / "adding_a_data_set.md").read_text()
(MODULE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(CONFIGURATION,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
CHECK, FIT = re.findall(r"^(lgad-.*)$", TEXT, re.MULTILINE)
OWN = [option for option in TINY if not option.startswith(("data.train", "data.val", "data.test", "data.image"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with what the page has one write and frames in its layout."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "motorway.py").write_text(MODULE)
    (folder / "conf/data").mkdir(parents=True)
    (folder / "conf/data/motorway.yaml").write_text(CONFIGURATION)
    roads = generate(SyntheticData(train=16, val=4, test=9, image_size=(148, 410)), folder / "roads", workers=0)
    (folder / "MOTORWAY").mkdir()
    (folder / "MOTORWAY/motorway.txt").write_text("made by nobody\n")
    for split in ("train", "val", "test"):
        for number, image in enumerate(sorted(roads.glob(f"driver*/{split}_*.MP4/*.jpg"))):
            weather = folder / "MOTORWAY" / split / ("rain", "sun", "fog")[number % 3]
            weather.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, weather / f"{number}.jpg")
            shutil.copy(image.with_suffix(".lines.txt"), weather / f"{number}.lines.txt")
    return folder


@pytest.fixture(autouse=True)
def _importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.slow
def test_check_knows_the_scenarios_and_the_official_counts(folder: Path) -> None:
    run("lgad-data", *CHECK.split()[1:], "--workers", "0", "--json", "found.json", folder=folder)
    found = json.loads((folder / "found.json").read_text())
    assert found["splits"]["test: rain"]["images"] == found["splits"]["test: rain"]["official_images"] == 3
    assert found["splits"]["test"]["official_lanes"] == 30


@pytest.mark.slow
def test_a_student_trains_on_it(folder: Path) -> None:
    run("lgad-fit", *FIT.split()[1:], *OWN, "hydra.run.dir=run", folder=folder)
    assert set(json.loads((folder / "run/metrics.json").read_text())["scenarios"]) == {"rain", "sun", "fog"}


def test_a_layout_that_cannot_be_imported_is_told(folder: Path) -> None:
    for name, message in (("none.Such", "nor a data module"), ("motorway.MotorwaySource", "nor a data module")):
        assert message in run("lgad-data", "check", "MOTORWAY", "--layout", name, folder=folder, fails=True).stderr
    (folder / "broken.py").write_text("1 / 0")
    stderr = run("lgad-data", "check", "MOTORWAY", "--layout", "broken.Data", folder=folder, fails=True).stderr
    assert "cannot be imported: division by zero" in stderr
    assert "Traceback" not in stderr
