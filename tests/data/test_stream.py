import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lgad_lightning.commands.data import main
from lgad_lightning.curation.pack import pack
from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule, TuSimpleDataModule
from lgad_lightning.data.culane import CULaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, write_lines
from tests.helpers.packed import SETTINGS, assert_same_batches

pytestmark = pytest.mark.zoo


def test_without_litdata_the_extra_is_named(roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    monkeypatch.setitem(sys.modules, "litdata.streaming", None)
    with pytest.raises(LgadError, match=r"lgad-lightning\[stream\]"):
        pack(CULaneDataModule(roads), tmp_path / "packed")
    with pytest.raises(LgadError, match=r"lgad-lightning\[stream\]"):
        CULaneDataModule("s3://roads/culane").prepare_data()


def test_a_label_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="label_cache"):
        CULaneDataModule("s3://roads/culane", label_cache=tmp_path).prepare_data()


def command(*arguments: object) -> object:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_those_of_the_files(roads: Path, packed: Path, workers: int) -> None:
    files = CULaneDataModule(roads, **SETTINGS, crop_top=20)
    assert_same_batches(files, CULaneDataModule(packed, **(SETTINGS | {"num_workers": workers}), crop_top=20))


@pytest.mark.parametrize("stroke", [0.01, 0.05])
def test_labels_are_drawn_from_packed_lanes_as_from_the_files(roads: Path, tmp_path: Path, stroke: float) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    for split in ("train", "val", "test"):
        frames = sorted(roads.rglob(f"{split}_000.MP4/*.jpg"))[1:3]
        for number, image in enumerate(frames):
            target = tmp_path / "own" / split / f"{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, target)
            shutil.copyfile(image.with_suffix(".lines.txt"), target.with_suffix(".lines.txt"))
    pack(LaneFolderDataModule(tmp_path / "own", num_slots=2), tmp_path / "packed", workers=0)
    assert_same_batches(
        *(LaneFolderDataModule(tmp_path / name, num_slots=2, stroke=stroke, **SETTINGS) for name in ("own", "packed"))
    )


def test_tusimple_keeps_its_rows(tmp_path: Path, roads: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    root = tmp_path / "tusimple"
    image = sorted(roads.rglob("train_000.MP4/*.jpg"))[0]
    for label in ("label_data_0313", "label_data_0601", "label_data_0531", "test_label"):
        frame = {
            "raw_file": f"clips/{label}/20.jpg",
            "h_samples": [40, 60, 80],
            "lanes": [[50, 30, -2], [200, 230, 260]],
        }
        (root / frame["raw_file"]).parent.mkdir(parents=True)
        shutil.copyfile(image, root / frame["raw_file"])
        (root / f"{label}.json").write_text(json.dumps(frame) + "\n")
    pack(TuSimpleDataModule(root), tmp_path / "packed", workers=0)
    settings = SETTINGS | {"batch_size": 1}
    assert_same_batches(*(TuSimpleDataModule(folder, **settings) for folder in (root, tmp_path / "packed")))


def test_identity_is_that_of_the_files(roads: Path, packed: Path) -> None:
    files, one, other = (
        CULaneDataModule(root, input_size=size).identity
        for root, size in ((roads, (36, 80)), (packed, (36, 80)), (packed, (40, 80)))
    )
    assert files == one != other


def test_other_readers_and_slots_are_refused(packed: Path) -> None:
    with pytest.raises(LgadError, match="packed by CULaneDataModule"):
        TuSimpleDataModule(packed, num_slots=4).prepare_data()

    class Six(CULaneDataModule):
        pass

    reader = Six(packed)
    reader.num_slots = 6
    with pytest.raises(LgadError, match="packed with 4 lane slots; num_slots is 6"):
        reader.prepare_data()


def test_settings_that_what_was_packed_does_not_have_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    for split in ("train", "val", "test"):
        (tmp_path / "own" / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "own" / split / "0.png"), np.zeros((60, 120, 3), np.uint8))
        shapes = [{"label": "lane", "points": [[9, 50], [40, 10]]}, {"label": "kerb", "points": [[90, 50], [70, 10]]}]
        content = {"shapes": [shape | {"shape_type": "linestrip"} for shape in shapes]}
        (tmp_path / "own" / split / "0.json").write_text(json.dumps(content))

    def module(root: str, *categories: str) -> LaneFolderDataModule:
        return LaneFolderDataModule(tmp_path / root, num_slots=2, categories=categories or None)

    pack(module("own", "lane"), tmp_path / "packed", workers=0)
    assert module("packed").identity == module("packed", "lane").identity == module("own", "lane").identity
    assert module("packed").identity != module("own").identity
    with pytest.raises(LgadError, match=r"was packed with the settings .*'lane'.*, not with .*'kerb'"):
        module("packed", "kerb").open("train")


class Inverted(CULaneSource):
    def image(self, index: int, reduce: bool = False) -> Any:
        return 255 - super().image(index, reduce)


class InvertedDataModule(CULaneDataModule):
    def source(self, split: Any) -> Inverted:
        return Inverted(self.root, split)


def test_images_read_in_ones_own_way_are_packed_so(roads: Path, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    pack(InvertedDataModule(roads), tmp_path / "packed", workers=0)
    assert_same_batches(*(InvertedDataModule(root, **SETTINGS) for root in (roads, tmp_path / "packed")))


def test_a_missing_stream_is_named(tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    with pytest.raises(LgadError, match="holds no packed lanes"):
        CULaneDataModule(f"file://{tmp_path}/nothing").prepare_data()


def test_a_missing_chunk_is_named(packed: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(packed, tmp_path / "copy"))
    next((copy / "val").glob("chunk*.bin")).unlink()
    with pytest.raises(LgadError, match=r"Image 0 of .*copy/val cannot be read"):
        CULaneDataModule(copy, **SETTINGS).prepare_data()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_chunk_is_named_or_skipped(packed: Path, tmp_path: Path, workers: int) -> None:
    copy = Path(shutil.copytree(packed, tmp_path / "copy"))
    (chunk,) = (copy / "val").glob("chunk*.bin")
    before, start, rest = chunk.read_bytes().rpartition(b"\xff\xd8\xff")
    chunk.write_bytes(before + b"\0" * len(start) + rest)
    settings = SETTINGS | {"num_workers": workers}
    data = CULaneDataModule(copy, **settings)
    data.prepare_data()
    data.setup("validate")
    with pytest.raises(LgadError, match=r"val_000\.MP4/00003\.jpg is no image"):
        list(data.val_dataloader())
    data = CULaneDataModule(copy, **settings, on_error="skip")
    data.setup("validate")
    (batch,) = data.val_dataloader()
    assert len(batch["name"]) == 3
    assert len(data.skipped) == 1


def test_packed_data_can_be_checked_and_counted(packed: Path, tmp_path: Path) -> None:
    found, figures = tmp_path / "found.json", tmp_path / "figures.json"
    assert command("check", packed, "--json", found, "--workers", 2) == 0
    assert json.loads(found.read_text())["findings"] == {}
    assert command("stats", packed, "--json", figures, "--workers", 2) == 0
    assert json.loads(figures.read_text())["images"] == 12


def test_points_far_outside_are_kept(tmp_path: Path, roads: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    path = next(copy.rglob("val_000.MP4/00000.lines.txt"))
    write_lines(path, [Lane([[-1e4, 117], [3.1234567890123, 40]], (118, 328))])
    pack(CULaneDataModule(copy), tmp_path / "packed", workers=0)
    assert_same_batches(CULaneDataModule(copy, **SETTINGS), CULaneDataModule(tmp_path / "packed", **SETTINGS))
