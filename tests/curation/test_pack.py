import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.curation import pack as packing
from lgad_lightning.curation.pack import pack
from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule
from lgad_lightning.errors import LgadError
from tests.helpers.packed import SETTINGS, assert_same_batches

pytestmark = pytest.mark.zoo


def test_a_folder_in_use_is_refused(roads: Path, packed: Path) -> None:
    with pytest.raises(LgadError, match="not empty"):
        pack(CULaneDataModule(roads), packed)


def test_an_interrupted_packing_goes_on(
    roads: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    monkeypatch.setattr(packing, "_PART", 5)
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    path = next(copy.rglob("train_000.MP4/00007.jpg"))
    content = path.read_bytes()
    path.write_bytes(content[:-500])
    with pytest.raises(LgadError, match=r"00007\.jpg"):
        pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)
    assert not (tmp_path / "packed").exists()
    path.write_bytes(content)
    made, make = [], packing._item
    monkeypatch.setattr(packing, "_item", lambda *arguments: made.append(arguments[-1]) or make(*arguments))
    pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)
    assert made[:7] == [5, 6, 7, 8, 9, 10, 11]  # the first part of the training split is there already
    assert "types" not in capfd.readouterr().out
    assert_same_batches(CULaneDataModule(roads, **SETTINGS), CULaneDataModule(tmp_path / "packed", **SETTINGS))


def test_what_has_changed_since_an_interruption_is_packed_anew(
    roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    monkeypatch.setattr(packing, "_PART", 5)
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    last = next(copy.rglob("test_000.MP4/00008.jpg"))
    content = last.read_bytes()
    last.write_bytes(content[:-500])
    with pytest.raises(LgadError, match=r"00008\.jpg"):
        pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)
    last.write_bytes(content)
    changed = next(copy.rglob("train_000.MP4/00007.jpg"))
    shutil.copyfile(changed.with_name("00001.jpg"), changed)
    pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)
    assert not list((tmp_path / "packed").glob("*.files"))
    assert_same_batches(CULaneDataModule(copy, **SETTINGS), CULaneDataModule(tmp_path / "packed", **SETTINGS))


def test_an_empty_split_is_refused(roads: Path, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    (copy / "list/val_gt.txt").write_text("")
    with pytest.raises(LgadError, match="no images for val"):
        pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)


def test_a_lane_without_points_is_packed(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "1.jpg"), np.zeros((100, 200, 3), np.uint8))
    line = {"image": "train/1.jpg", "lanes": [[[50, 99], [60, 10]], []], "slots": [1, 2]}
    (tmp_path / "train.jsonl").write_text(json.dumps(line))
    source = LaneFolderDataModule(tmp_path, num_slots=2).open("train")
    slots = json.loads(packing._item(source, "{}", 0)["slots"])
    assert [slot["points"] for slot in slots] == [[[50, 99], [60, 10]], []]
