import multiprocessing
import os
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from lightning.pytorch.trainer.states import TrainerFn

from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule, TuSimpleDataModule
from lgad_lightning.data.dataset import LaneDataset
from lgad_lightning.data.label_cache import LabelCache, build_label_cache
from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.data.run_lengths import encode_runs
from lgad_lightning.errors import LgadError

SIZE = (36, 80)


def make(index: int) -> np.ndarray:
    return np.full(SIZE, index, np.uint8)


def sources(folder: Path, count: int = 3) -> list[list[Path]]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return [[path] for path in paths]


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
    os.utime(files[1][0], ns=(1, 1))
    build_label_cache(path, files, lambda index: make(index + 7), workers=0)
    assert LabelCache(path, SIZE)[0].max() == 7


@pytest.mark.parametrize("order", [(0, 1, 1), (0, 0), (0, 0, 1, 1), (1, 0, 0)])
def test_made_anew_when_images_are_listed_in_another_order_or_number(tmp_path: Path, order: tuple[int, ...]) -> None:
    path, files = tmp_path / "a.labels", sources(tmp_path)
    build_label_cache(path, [files[index] for index in (0, 0, 1)], lambda index: make((0, 0, 1)[index]), workers=0)
    build_label_cache(path, [files[index] for index in order], lambda index: make(order[index]), workers=0)
    assert [int(LabelCache(path, SIZE)[index].max()) for index in range(len(order))] == list(order)


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


def damage(path: Path) -> None:
    """Damages the last record."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x55
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("spoil", [damage, cut])
def test_a_damaged_cache_costs_speed_alone_and_is_made_anew(roads: Path, tmp_path: Path, spoil: Any) -> None:
    expected = batches(roads, tmp_path)
    caches = sorted(tmp_path.glob("*.labels"))
    sound = [path.read_bytes() for path in caches]
    for path in caches:
        spoil(path)
    for again in range(2):
        for batch, other in zip(batches(roads, tmp_path), expected, strict=True):
            assert np.array_equal(batch["label"], other["label"]), again
    assert [path.read_bytes() for path in caches] == sound


def test_a_place_that_cannot_be_written_costs_speed_alone(
    roads: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", Path("/proc")):
        caplog.clear()
        for batch, other in zip(batches(roads, place), batches(roads, None), strict=True):
            assert np.array_equal(batch["label"], other["label"])
        (record,) = caplog.records
        assert "slower" in record.message


def test_an_old_cache_is_not_used_where_no_new_one_can_be_written(
    roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    batches(copy, tmp_path / "cache")
    for path in (copy / "laneseg_label_w16").rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((118, 328), np.uint8))

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lgad_lightning.data.label_cache.whole_file", full)
    after = batches(copy, tmp_path / "cache", augmentation=False)
    assert not any(batch["label"].any() for batch in after[:4])


def test_a_full_disk_keeps_the_old_cache_and_nothing_half_written(tmp_path: Path) -> None:
    files, path = sources(tmp_path, count=200), tmp_path / "cache" / "a.labels"
    build_label_cache(path, files[:2], make, workers=0)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))  # as good as a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            build_label_cache(path, files, make, workers=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert LabelCache(path, SIZE)[1].max() == 1
    assert {file.name for file in path.parent.iterdir()} == {"a.labels", "a.lock"}


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


def test_masks_are_not_read_again(roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, num_slots: int) -> np.ndarray:
        raise AssertionError(f"{path} is read")

    data = CULaneDataModule(roads, input_size=SIZE, num_workers=0, batch_size=4, label_cache=tmp_path / "cache")
    data.prepare_data()
    monkeypatch.setattr("lgad_lightning.data.culane.read_mask", read)
    data.prepare_data()
    data.setup("fit")
    assert len(list(data.train_dataloader())) == 3


def test_changed_annotations_replace_the_cache(roads: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    cache = tmp_path / "cache"
    before = batches(copy, cache, augmentation=False)
    for path in (copy / "laneseg_label_w16").rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((118, 328), np.uint8))
    after = batches(copy, cache, augmentation=False)
    assert before[0]["label"].any()
    assert not any(batch["label"].any() for batch in after[:4])  # training and validation
    assert len(list(cache.glob("*.labels"))) == 3


def test_a_wider_stroke_has_a_cache_of_its_own(roads: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        image = sorted(roads.rglob(f"{split}_000.MP4/*.jpg"))[1]
        target = tmp_path / "own" / split / "a.jpg"
        target.parent.mkdir(parents=True)
        shutil.copyfile(image, target)
        shutil.copyfile(image.with_suffix(".lines.txt"), target.with_suffix(".lines.txt"))
    pixels = []
    for stroke in (0.01, 0.05):
        data = LaneFolderDataModule(
            tmp_path / "own", stroke=stroke, input_size=SIZE, num_workers=0, label_cache=tmp_path / "cache"
        )
        data.prepare_data()
        data.setup("validate")
        (batch,) = data.val_dataloader()
        pixels.append(int((batch["label"] > 0).sum()))
    assert pixels[1] > 2 * pixels[0]


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
    path = next((copy / "laneseg_label_w16").rglob("train_000.MP4")) / "00002.png"
    names = [name for batch in batches(copy, tmp_path / "cache", on_error="skip") for name in batch["name"]]
    assert len(names) == 12 + 4 + 9  # in training another takes its place
    assert not [name for name in names if name.endswith("train_000.MP4/00002.jpg")]
    shutil.copyfile(path.with_name("00003.png"), path)
    names = [name for batch in batches(copy, tmp_path / "cache", on_error="skip") for name in batch["name"]]
    assert [name for name in names if name.endswith("train_000.MP4/00002.jpg")]  # mended, it is no longer skipped


def test_only_what_failed_is_tried_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def sometimes(index: int) -> np.ndarray:
        asked.append(index)
        if index == 1 and len(asked) < 5:
            raise LgadError("for now")
        return make(index)

    files = sources(tmp_path)
    for _ in range(3):
        build_label_cache(tmp_path / "a.labels", files, sometimes, True, 0)
    assert asked == [0, 1, 2, 1, 1]
    for index in range(3):
        assert np.array_equal(LabelCache(tmp_path / "a.labels", SIZE)[index], make(index))


def test_what_could_not_be_cached_says_why(roads: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    next(copy.rglob("train_000.MP4/00002.png")).unlink()
    settings: dict = {"input_size": SIZE, "num_workers": 0, "label_cache": tmp_path / "cache", "on_error": "skip"}
    data = CULaneDataModule(copy, **settings)
    data.prepare_data()
    data.setup("fit")
    list(data.train_dataloader())
    assert "00002.png" in next(iter(data.skipped.values()))


def test_a_changed_image_size_replaces_drawn_labels(tmp_path: Path) -> None:
    sums = []
    for scale in (1, 2):
        for split in ("train", "val", "test"):
            (tmp_path / split).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / split / "a.png"), np.zeros((60 * scale, 120 * scale, 3), np.uint8))
            if scale == 1:
                (tmp_path / split / "a.lines.txt").write_text("10 59 50 10\n100 59 60 10\n")
        data = LaneFolderDataModule(tmp_path, input_size=SIZE, num_workers=0, label_cache=tmp_path / "cache")
        data.prepare_data()
        data.setup("validate")
        (batch,) = data.val_dataloader()
        sums.append(int((batch["label"] > 0).sum()))
    assert sums[1] < 0.8 * sums[0]


@pytest.mark.parametrize("header", [b"[]", b"{}", b'{"stamp": 1}', b"7"])
def test_a_damaged_header_is_noticed_and_the_cache_made_anew(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.labels"
    build_label_cache(path, sources(tmp_path), make, workers=0)
    magic, _, rest = path.read_bytes().split(b"\n", 2)
    path.write_bytes(b"\n".join([magic, header, rest]))
    with pytest.raises(LgadError, match=r"makes it anew"):
        LabelCache(path, SIZE)
    build_label_cache(path, sources(tmp_path), make, workers=0)
    assert LabelCache(path, SIZE)[2].max() == 2


def test_a_label_of_another_image_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "a.labels"
    build_label_cache(path, sources(tmp_path), make, workers=0)
    content = path.read_bytes()
    lengths = [len(encode_runs(make(number))) for number in range(3)]
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    assert content.count(offsets.tobytes()) == 1
    path.write_bytes(content.replace(offsets.tobytes(), offsets[[1, 2, 2, 3]].tobytes()))
    with pytest.raises(LgadError, match="damaged"):
        LabelCache(path, SIZE)


def test_a_cache_that_is_current_needs_no_writing(roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = batches(roads, tmp_path)
    monkeypatch.setattr("lgad_lightning.data.label_cache.locked", None)
    assert np.array_equal(batches(roads, tmp_path)[0]["label"], expected[0]["label"])


def test_predicting_needs_no_lanes_for_the_cache(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    cv2.imwrite(str(tmp_path / "test" / "a.png"), np.zeros((60, 120, 3), np.uint8))
    data = LaneFolderDataModule(tmp_path, input_size=SIZE, num_workers=0, label_cache=tmp_path / "cache")
    data.trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.PREDICTING), world_size=1, global_rank=0)  # type: ignore[assignment]
    data.prepare_data()
    data.setup("predict")
    assert len(list(data.predict_dataloader())) == 1


def test_opening_without_preparing_says_so(roads: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CULaneDataModule(roads, label_cache=tmp_path).setup("fit")
    (record,) = caplog.records
    assert "prepare_data" in record.message


def test_real_tusimple_labels_are_cached(shared_dir: Path, tmp_path: Path) -> None:
    data = TuSimpleDataModule(
        shared_dir / "real/tusimple",
        labels={split: ["label_data_subset.json"] for split in ("train", "val")},
        label_cache=tmp_path,
        input_size=SIZE,
        num_workers=0,
    )
    data.trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING), world_size=1, global_rank=0)  # type: ignore[assignment]
    data.prepare_data()
    data.setup("fit")
    cached, drawn = data.datasets["val"], LaneDataset(data.open("val"), Preprocessing(SIZE))
    assert all(np.array_equal(cached[index]["label"], drawn[index]["label"]) for index in range(len(drawn)))
