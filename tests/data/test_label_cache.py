import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgad_lightning.data import CULaneDataModule, TuSimpleDataModule
from lgad_lightning.data.label_cache import LabelCache, build_label_cache, decode_runs, encode_runs
from lgad_lightning.errors import LgadError

SIZE = (36, 80)


def make(index: int) -> np.ndarray:
    return np.full(SIZE, index, np.uint8)


def sources(folder: Path, count: int = 3) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.sampled_from([0, 1, 4, 255])))
def test_runs_keep_everything(label: np.ndarray) -> None:
    assert np.array_equal(decode_runs(encode_runs(label), label.shape), label)


def test_labels_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.labels"
    build_label_cache(path, sources(tmp_path), make, workers=0)
    assert [int(LabelCache(path, SIZE)[index].max()) for index in range(3)] == [0, 1, 2]


def test_made_once_and_anew_when_a_source_changes(tmp_path: Path) -> None:
    path, files = tmp_path / "a.labels", sources(tmp_path)
    build_label_cache(path, files, make, workers=0)
    before = path.stat().st_mtime_ns
    build_label_cache(path, files, make, workers=0)
    assert path.stat().st_mtime_ns == before
    os.utime(files[1], ns=(1, 1))
    build_label_cache(path, files, lambda index: make(index + 7), workers=0)
    assert LabelCache(path, SIZE)[0].max() == 7


@pytest.mark.parametrize("place", [0, 130, -3])
def test_damage_is_noticed(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.labels"
    build_label_cache(path, sources(tmp_path), make, workers=0)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(LgadError, match=str(path)):
        _ = [LabelCache(path, SIZE)[index] for index in range(3)]


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_file_cut_off_is_noticed(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.labels"
    build_label_cache(path, sources(tmp_path), make, workers=0)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LgadError, match=str(path)):
        _ = [LabelCache(path, SIZE)[index] for index in range(3)]


def test_a_full_disk_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LgadError, match="No space left"):
        build_label_cache(tmp_path / "a.labels", sources(tmp_path), make, workers=0)
    assert not (tmp_path / "a.labels").exists()


def test_several_processes_may_build_at_once(tmp_path: Path) -> None:
    files = sources(tmp_path)
    arguments = (tmp_path / "a.labels", files, make, False, 0)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=build_label_cache, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert LabelCache(tmp_path / "a.labels", SIZE)[2].max() == 2


def batches(root: Path, cache: Path | None, **options: object) -> list[dict]:
    settings = {"input_size": SIZE, "batch_size": 4, "num_workers": 0, "label_cache": cache}
    data = CULaneDataModule(root, **(settings | options))  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]


def test_batches_are_the_same_with_a_cache(roads: Path, tmp_path: Path) -> None:
    for plain, cached in zip(batches(roads, None), batches(roads, tmp_path), strict=True):
        assert plain["name"] == cached["name"]
        assert np.array_equal(plain["label"], cached["label"])
        assert np.array_equal(plain["image"], cached["image"])


def test_masks_are_not_read_again(roads: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    data = CULaneDataModule(copy, input_size=SIZE, num_workers=0, batch_size=4, label_cache=tmp_path / "cache")
    data.prepare_data()
    shutil.rmtree(copy / "laneseg_label_w16")
    (copy / "laneseg_label_w16").mkdir()
    data.setup("fit")
    assert len(list(data.train_dataloader())) == 3


def test_geometries_have_caches_of_their_own(roads: Path, tmp_path: Path) -> None:
    shapes = {
        batch["label"].shape[1:] for size in (SIZE, (20, 40)) for batch in batches(roads, tmp_path, input_size=size)
    }
    assert shapes == {SIZE, (20, 40)}


def test_a_missing_mask_ends_the_caching_or_is_skipped(roads: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    next(copy.rglob("train_000.MP4/00002.png")).unlink()
    with pytest.raises(LgadError, match=r"00002\.png"):
        batches(copy, tmp_path / "cache")
    names = [name for batch in batches(copy, tmp_path / "cache", on_error="skip") for name in batch["name"]]
    assert len(names) == 12 - 1 + 4 + 9


def test_opening_without_preparing_says_so(roads: Path, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="prepare_data"):
        CULaneDataModule(roads, label_cache=tmp_path).setup("fit")


def test_real_tusimple_labels_are_cached(shared_dir: Path, tmp_path: Path) -> None:
    data = TuSimpleDataModule(
        shared_dir / "real/tusimple",
        labels={split: ["label_data_subset.json"] for split in ("train", "val")},
        label_cache=tmp_path,
    )
    data.check(["train", "val"])
    assert data.source("train").label_path(0).name == "label_data_subset.json"
