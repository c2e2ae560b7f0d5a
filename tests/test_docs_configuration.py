"""The configuration reference of the site: what it takes for a key's meaning, and that no key is without one."""

from pathlib import Path

import pytest
from configuration_reference import PLACE, Key, read_configurations, reference
from hydra import compose, initialize_config_dir

from lgad_lightning.commands.configs import CONFIG_DIR
from tests.conftest import CHECKOUT

CONFIGURATIONS = read_configurations(CHECKOUT / "conf")


def keys_of(folder: Path, text: str) -> dict[str, Key]:
    (folder / "fit.yaml").write_text(text)
    return {key.path: key for key in read_configurations(folder)[Path("fit.yaml")]}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=str)
def test_every_key_has_a_meaning(path: Path) -> None:
    without = [key.path for key in CONFIGURATIONS[path] if not key.meaning]
    assert not without, f"conf/{path}: write beside these keys what they do: {', '.join(without)}"


def test_no_key_of_a_run_is_left_out() -> None:
    listed = {key.path for keys in CONFIGURATIONS.values() for key in keys}
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit")
    for group in ("data", "trainer", "network", "distillation", "optimizer", "scheduler"):
        assert {f"{group}.{name}" for name in cfg[group] if not name.startswith("_")} <= listed
    assert {str(name) for name in cfg} - {"trainer", "network", "distillation", "callbacks", "logger"} <= listed


def test_meanings_come_from_docstrings_and_comments(tmp_path: Path) -> None:
    keys = keys_of(
        tmp_path,
        """
        lone: 1
        told: 2  # what it does
        student:
          told: 3
        data:  # the roads
          _target_: lgad_lightning.CULaneDataModule
          crop_top: 4
          channels: "rgb # bgr"  # rgb | bgr
          unknown: 5
        """,
    )
    assert keys["lone"].meaning == keys["data.unknown"].meaning == ""
    assert keys["told"] == Key("told", "2", "what it does")
    assert keys["data"] == Key("data", "lgad_lightning.CULaneDataModule", "the roads")
    assert keys["data.crop_top"].meaning.startswith("Rows to cut off")  # of the class that it derives from
    assert keys["data.channels"] == Key("data.channels", '"rgb # bgr"', "Order of the channels; rgb | bgr")
    assert "student" not in keys


def test_a_key_below_another_has_its_meaning(tmp_path: Path) -> None:
    keys = keys_of(tmp_path, "trainer:\n  devices: 1  # how many\nteacher:\n  trainer:\n    devices: 2\n")
    assert keys["teacher.trainer.devices"] == Key("teacher.trainer.devices", "2", "how many")


def test_a_class_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"lgad_lightning\.Nothing"):
        keys_of(tmp_path, "data:\n  _target_: lgad_lightning.Nothing\n  root: 1\n")


def test_the_page_shows_key_default_and_meaning() -> None:
    assert PLACE in (CHECKOUT / "docs" / "configuration.md").read_text()
    shown = reference(CHECKOUT / "conf")
    assert "`seed` = `1`\n: of weights" in shown
    assert "{py:obj}`ERFNet <lgad_lightning.networks.ERFNet>`" in shown
