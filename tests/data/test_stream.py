import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lgad_lightning.commands.data import main
from lgad_lightning.data import CULaneDataModule, StreamLaneDataModule
from lgad_lightning.data.stream import pack
from lgad_lightning.errors import LgadError

SETTINGS: dict[str, Any] = {"input_size": (36, 80), "batch_size": 4}

pytestmark = pytest.mark.zoo


def test_without_litdata_the_extra_is_named(roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    monkeypatch.setitem(sys.modules, "litdata.streaming", None)
    with pytest.raises(LgadError, match=r"lgad-lightning\[stream\]"):
        pack(CULaneDataModule(roads), tmp_path / "packed")
    with pytest.raises(LgadError, match=r"lgad-lightning\[stream\]"):
        StreamLaneDataModule(str(tmp_path)).prepare_data()


def test_a_label_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="label_cache"):
        StreamLaneDataModule(str(tmp_path), label_cache=tmp_path)


@pytest.fixture(scope="module")
def packed(roads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    folder = tmp_path_factory.mktemp("stream") / "packed"
    with pytest.raises(SystemExit) as end:
        main(["pack", str(roads), str(folder), "--workers", "2"])
    assert end.value.code == 0
    return folder


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_those_of_the_files(roads: Path, packed: Path, workers: int) -> None:
    files = CULaneDataModule(roads, num_workers=0, **SETTINGS)
    streamed = StreamLaneDataModule(str(packed), num_workers=workers, **SETTINGS)
    streamed.prepare_data()
    for data in (files, streamed):
        data.setup()
    for split in ("train", "val", "test"):
        pairs = zip(getattr(files, f"{split}_dataloader")(), getattr(streamed, f"{split}_dataloader")(), strict=True)
        for plain, other in pairs:
            assert plain["name"] == other["name"]
            assert torch.equal(plain["image"], other["image"])
            assert torch.equal(plain["label"], other["label"])
            assert plain.get("evaluation") == other.get("evaluation")


def test_identity_is_that_of_the_packed_data(packed: Path) -> None:
    one, same, other = (StreamLaneDataModule(str(packed), input_size=size) for size in ((36, 80), (36, 80), (40, 80)))
    assert one.identity == same.identity != other.identity


def test_a_folder_in_use_is_refused(roads: Path, packed: Path) -> None:
    with pytest.raises(LgadError, match="not empty"):
        pack(CULaneDataModule(roads), packed)


def test_a_damaged_image_ends_the_packing(roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")

    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    path = next(copy.rglob("train_000.MP4/00002.jpg"))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(LgadError, match=r"00002\.jpg"):
        pack(CULaneDataModule(copy), tmp_path / "packed", workers=2)
    assert not (tmp_path / "packed").exists()


def test_a_missing_stream_is_named(tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    with pytest.raises(LgadError, match="holds no packed lanes"):
        StreamLaneDataModule(str(tmp_path / "nothing")).prepare_data()
