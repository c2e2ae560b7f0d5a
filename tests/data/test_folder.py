import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.data import LaneFolderDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane, write_lines

LANES = [[[10, 0], [5, 59]], [[60, 0], [100, 59]]]


def image(path: Path, size: tuple[int, int] = (60, 120)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    for name in ("train/b.png", "train/deep/a.jpg", "val/c.png", "test/d.png"):
        image(tmp_path / name)
        write_lines((tmp_path / name).with_suffix(".lines.txt"), [Lane(points, (60, 120)) for points in LANES])
    return tmp_path


def module(root: Path, **options: Any) -> LaneFolderDataModule:
    settings = {"num_slots": 2, "input_size": (30, 60), "batch_size": 2, "num_workers": 0, "augmentation": False}
    return LaneFolderDataModule(root, **(settings | options))


def test_images_with_lines_beside_them(lines: Path) -> None:
    data = module(lines)
    data.prepare_data()
    data.setup()
    (batch,) = data.train_dataloader()
    assert sorted(batch["name"]) == ["train/b.png", "train/deep/a.jpg"]
    assert batch["existence"].tolist() == [[1, 1]] * 2
    assert batch["label"][0, 29, 2] == 1
    (batch,) = data.test_dataloader()
    assert [lane.points.tolist() for lane in batch["evaluation"]["target"][0]] == LANES


def test_a_file_of_lines(tmp_path: Path) -> None:
    records = [{"image": "a.png", "lanes": LANES}, {"image": "wide.png", "lanes": LANES[:1], "slots": [2]}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    image(tmp_path / "a.png")
    image(tmp_path / "wide.png", (60, 240))
    data = module(tmp_path)
    data.check(["train"])
    source = data.source("train")
    assert set(np.unique(source.label(0, Frame(60, 120), (60, 120)))) == {0, 1, 2}
    assert set(np.unique(source.label(1, Frame(60, 240), (60, 240)))) == {0, 2}


def test_any_number_of_slots_when_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"image": "a.png", "lanes": LANES, "slots": [1, 7]}))
    label = module(tmp_path, num_slots=7).source("train").label(0, Frame(60, 120), (60, 120))
    assert set(np.unique(label)) == {0, 1, 7}


def test_stroke_is_a_share_of_the_width(lines: Path) -> None:
    thin, thick = (
        np.count_nonzero(module(lines, stroke=share).open("train").label(0, Frame(60, 120), (60, 120)))
        for share in (1 / 120, 8 / 120)
    )
    assert thick > 3 * thin


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"image": "a.png"},
        {"image": 3, "lanes": []},
        {"image": "a.png", "lanes": [[1, 2]]},
        {"image": "a.png", "lanes": [[[1, 2, 3]]]},
        {"image": "a.png", "lanes": LANES, "slots": [1]},
        {"image": "a.png", "lanes": LANES, "slots": [1, 1]},
        {"image": "a.png", "lanes": LANES, "slots": [1, 3]},
    ],
)
def test_a_garbled_line_is_named(tmp_path: Path, record: object) -> None:
    good = json.dumps({"image": "a.png", "lanes": []})
    (tmp_path / "train.jsonl").write_text(f"{good}\n{json.dumps(record)}\n")
    with pytest.raises(LgadError, match=r"train\.jsonl:2"):
        module(tmp_path).source("train")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
)


@given(lanes=json_values, slots=json_values)
def test_random_values_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lanes: Any, slots: Any) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "train.jsonl").write_text(json.dumps({"image": "a.png", "lanes": lanes, "slots": slots}))
    with contextlib.suppress(LgadError):
        source = module(root).source("train")
        read = source.lanes(0, (60, 120))
        assert len(read) == len(lanes)
        assert all(np.isfinite(lane.points).all() for lane in read)
        assert len(source.slots(0, read)) == 2


@given(content=st.binary(max_size=100))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "train.jsonl").write_bytes(content + b"?")
    with pytest.raises(LgadError, match=r"train\.jsonl"):
        module(root).source("train")


def test_missing_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"(?s)train/.*train\.jsonl.*split=.*data\.root="):
        module(tmp_path).prepare_data()


def test_an_image_without_lines_is_named(lines: Path) -> None:
    (lines / "train/b.lines.txt").unlink()
    data = module(lines)
    data.setup("fit")
    with pytest.raises(LgadError, match=r"b\.lines\.txt"):
        list(data.train_dataloader())


def test_folders_behind_links_are_read(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in (lines / "train" / "deep").iterdir():
        path.rename(elsewhere / path.name)
    (lines / "train" / "linked").symlink_to(elsewhere)
    (lines / "train" / "folder.jpg").mkdir()
    assert list(module(lines).open("train").names) == ["train/b.png", "train/linked/a.jpg"]


def test_pictures_of_a_run_or_of_predictions_are_no_images(lines: Path) -> None:
    for mark in (".lgad-fit.lock", ".lgad-predictions"):
        image(lines / "train" / mark[1:] / "pictures" / "test.png")
        (lines / "train" / mark[1:] / mark).touch()
    assert list(module(lines).source("train").names) == ["train/b.png", "train/deep/a.jpg"]


def test_a_folder_images_hides_masks_alone(lines: Path) -> None:
    image(lines / "val/images/d.png")
    image(lines / "val/masks/d.png")
    with pytest.raises(LgadError, match=r"1 are not, like val/c\.png"):
        module(lines).source("val")
    (lines / "val/c.png").rename(lines / "val/images/c.png")
    assert list(module(lines).source("val").names) == ["val/images/c.png", "val/images/d.png"]


def test_a_folder_that_cannot_be_read_is_told(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(LgadError, match="deep cannot be read: Permission denied"):
        module(lines).source("train")


@pytest.mark.parametrize(
    "options", [{"files": {"train": "a.json"}, "split": "0.8/0.1/0.1"}, {"categories": "lane"}, {"categories": []}]
)
def test_settings_that_would_be_ignored_are_refused(lines: Path, options: dict[str, Any]) -> None:
    with pytest.raises(LgadError, match=r"files and split both|categories must be a list"):
        module(lines, **options)


def test_categories_may_be_numbers(lines: Path) -> None:
    assert module(lines, categories=[1]).categories == ["1"]


def test_hidden_files_are_no_annotations(lines: Path) -> None:
    record = {"image": "train/b.png", "lanes": LANES}
    (lines / "a.jsonl").write_text("".join(f"{json.dumps(record)}\n" for _ in range(1)))
    (lines / "._a.jsonl").write_bytes(b"\0\5\x16\7")  # macOS leaves such files on other disks
    assert module(lines, split="1/0/0").open("train").names[0] == "train/b.png"


def test_folders_that_cannot_be_entered_hide_nothing(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lost+found`, if the data are the root of a disk."""
    (lines / "lost+found").mkdir()
    stat = Path.stat

    def refused(path: Path, **options: Any) -> os.stat_result:
        if "lost+found" in path.parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert len(module(lines).open("train")) == 2


def test_an_index_of_the_users_own_does_not_make_data_packed(lines: Path) -> None:
    (lines / "train" / "index.json").write_text('{"images": []}')
    assert module(lines).packed is None
