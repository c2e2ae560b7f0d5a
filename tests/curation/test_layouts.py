import json
from pathlib import Path

import pytest

from lgad_lightning.curation.layouts import open_data
from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule, TuSimpleDataModule
from lgad_lightning.errors import LgadError


def test_culane_is_recognised(roads: Path) -> None:
    assert type(open_data(roads)) is CULaneDataModule


def test_tusimple_is_recognised_in_both_layouts(tmp_path: Path) -> None:
    frame = json.dumps({"lanes": [], "h_samples": [], "raw_file": "clips/a.jpg"})
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "label_data_0313.json").write_text(frame)
    (tmp_path / "two" / "train_set").mkdir(parents=True)
    assert {type(open_data(tmp_path / name)) for name in ("one", "two")} == {TuSimpleDataModule}


def test_folders_and_lines_of_ones_own_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "one" / "val").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "train.jsonl").write_text("")
    assert {type(open_data(tmp_path / name)) for name in ("one", "two")} == {LaneFolderDataModule}


def test_a_named_layout_is_not_looked_for(roads: Path) -> None:
    assert type(open_data(roads, "folder", num_slots=2)) is LaneFolderDataModule


def test_nothing_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="none of the known layouts"):
        open_data(tmp_path)
    with pytest.raises(LgadError, match="4 lane slots"):
        open_data(tmp_path, "culane", num_slots=6)
