"""`lgad-data convert`: what is read of the new layout is what was read of the old one."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from lgad_lightning.commands.data import main
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.convert import _LISTS, Target, convert
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.data import CULaneDataModule, LaneDataModule, LaneFolderDataModule, TuSimpleDataModule
from lgad_lightning.data.culane import CULaneSource
from lgad_lightning.data.source import SPLITS
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_ROWS, Lane, TuSimpleFrame, read_tusimple, write_tusimple
from lgad_lightning.metrics.functional import culane_counts, culane_scores

KINDS = {"culane": CULaneDataModule, "tusimple": TuSimpleDataModule, "folder": LaneFolderDataModule}


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SyntheticData(5, 2, 9, (148, 410)), tmp_path_factory.mktemp("convert") / "roads", workers=0)


def f1(one: LaneDataModule, other: LaneDataModule, split: Any) -> float:
    first, second = one.open(split), other.open(split)
    assert len(first) == len(second)
    total = np.zeros(3, int)
    for index in range(len(first)):
        size = first.image(index).shape[:2]
        assert (first.image(index) == second.image(index)).all()
        counts = culane_counts(second.lanes(index, size), first.lanes(index, size))
        total += [*counts.tp, counts.num_preds, counts.num_target]
    return float(culane_scores(*total.tolist())["f1"])


@pytest.mark.parametrize("to", get_args(Target))
def test_lanes_come_back_from_every_layout(to: Target, roads: Path, tmp_path: Path) -> None:
    before = open_data(roads)
    assert convert(before, tmp_path / to, to, workers=0) == {"train": 5, "val": 2, "test": 9}
    after = open_data(tmp_path / to, num_slots=4)
    assert type(after) is KINDS[to]
    result = check_data(after, workers=0)
    assert result["ok"]
    assert set(result["findings"]) <= {"count", "unused"}
    for split in SPLITS:
        assert f1(before, after, split) > 0.99
    assert {path.suffix for path in tmp_path.glob(".*")} == {".lock"}


@pytest.mark.parametrize("to", get_args(Target))
def test_and_from_there_into_culanes(to: Target, roads: Path, tmp_path: Path) -> None:
    convert(open_data(roads), tmp_path / "one", to, workers=0)
    convert(open_data(tmp_path / "one", num_slots=4), tmp_path / "two", "culane", workers=0)
    assert f1(open_data(roads), open_data(tmp_path / "two"), "test") > 0.99


def test_masks_scenarios_and_bits_go_along(roads: Path, tmp_path: Path) -> None:
    convert(open_data(roads), tmp_path / "culane", "culane", workers=0)
    before, after = open_data(roads), open_data(tmp_path / "culane")
    assert after.open("train").existence_bits() == before.open("train").existence_bits()
    scenarios = [[source.scenario(index) for index in range(9)] for source in (before.open("test"), after.open("test"))]
    assert scenarios[0] == scenarios[1]
    convert(before, tmp_path / "folder", "folder", workers=0)
    for split in ("train", "val"):
        masks = [open_data(tmp_path / name).open(split).mask(0, (148, 410)) for name in ("culane", "folder")]
        assert (masks[0] == masks[1]).all()  # type: ignore[union-attr]


def test_own_data_become_culanes(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"own/a clip/frame {number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((60, 120, 3), number, np.uint8))
        path.with_suffix(".lines.txt").write_text("5 59 40 10\n110 59 70 10\n")
    with pytest.raises(SystemExit) as end:
        main(["convert", str(tmp_path / "own"), str(tmp_path / "out"), "--to", "culane", "--set", "split=0.8/0.1/0.1"])
    assert end.value.code == 0
    data = open_data(tmp_path / "out")
    assert [len(data.open(split)) for split in SPLITS] == [8, 1, 1]
    assert data.open("train").names[0] == "train/a_clip/frame_0.jpg"
    assert check_data(data, workers=0)["ok"]


def test_what_is_there_is_not_replaced_and_what_is_wrong_is_told(roads: Path, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="not empty"):
        convert(open_data(roads), roads, "folder", workers=0)
    with pytest.raises(LgadError, match="s3://roads is packed"):
        convert(CULaneDataModule("s3://roads"), tmp_path / "out", "folder", workers=0)
    for name in ("train/a b.jpg", "train/a_b.jpg"):
        (tmp_path / "own/train").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "own" / name), np.zeros((60, 120, 3), np.uint8))
        (tmp_path / "own" / name).with_suffix(".lines.txt").write_text("")
    with pytest.raises(LgadError, match="would both be called"):
        convert(open_data(tmp_path / "own"), tmp_path / "out", "culane", workers=0)


def test_an_interrupted_conversion_is_continued(roads: Path, tmp_path: Path) -> None:
    module = open_data(roads)
    image = roads / module.open("test").names[4]
    content = image.read_bytes()
    image.write_bytes(b"")
    with pytest.raises(LgadError, match="is empty"):
        convert(module, tmp_path / "out", "folder", workers=0)
    assert not (tmp_path / "out").exists()
    image.write_bytes(content)
    convert(module, tmp_path / "out", "folder", workers=0)
    assert len(open_data(tmp_path / "out").open("test")) == 9


def interrupted_after(write: Callable[..., None], split: str) -> Callable[..., None]:
    def writes(folder: Path, of: str, images: Any) -> None:
        write(folder, of, images)
        if of == split:
            raise KeyboardInterrupt

    return writes


def own(root: Path, name: str, shade: int, lines: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((720, 1280, 3), shade, np.uint8))
    path.with_suffix(".lines.txt").write_text(lines)


@pytest.mark.parametrize("to", get_args(Target))
def test_images_of_one_name_in_two_splits_stay_two(to: Target, tmp_path: Path) -> None:
    for number, split in enumerate(SPLITS):
        own(tmp_path / "own", f"{split}/0.png", 50 * number, "300 700 600 400\n")
    convert(open_data(tmp_path / "own"), tmp_path / "out", to, workers=0)
    after = open_data(tmp_path / "out")
    assert [after.open(split).image(0)[0, 0, 0] for split in SPLITS] == [0, 50, 100]


def test_points_far_apart_that_lie_on_tusimples_rows_are_joined(tmp_path: Path) -> None:
    for split in SPLITS:
        own(tmp_path / "own", f"{split}/0.png", 0, "300 700 600 400\n")
    convert(open_data(tmp_path / "own"), tmp_path / "out", "tusimple", workers=0)
    (lane,) = open_data(tmp_path / "out").open("train").lanes(0, (720, 1280))
    assert lane.points[:, 1].tolist() == list(range(400, 701, 10))
    assert lane.x_at([550]).tolist() == [450]


def test_gaps_of_tusimples_lanes_stay_gaps(tmp_path: Path) -> None:
    rows = list(range(160, 711, 10))
    columns = [-2 if y in (300, 310, 500) or y > 690 else 900 - y for y in rows]
    for name in ("label_data_0313", "label_data_0601", "label_data_0531", "test_label"):
        own(tmp_path / "own", f"clips/{name}/20.jpg", 0, "")
        frame = TuSimpleFrame(f"clips/{name}/20.jpg", [lane_of(columns, rows)], tuple(rows))
        write_tusimple(tmp_path / f"own/{name}.json", [frame])
    convert(open_data(tmp_path / "own"), tmp_path / "out", "tusimple", workers=0)
    (frame,) = read_tusimple(tmp_path / "out/test_label.json")
    assert frame.lanes == [lane_of(columns, rows)]


@pytest.mark.parametrize(("to", "expected"), [("culane", 1), ("folder", 1), ("tusimple", 2)])
def test_lanes_that_are_in_no_row_are_left_to_tusimple(to: Target, expected: int, tmp_path: Path) -> None:
    own(tmp_path / "own", "clips/0/20.jpg", 0, "")
    columns = [[600] * 56, [-2] * 56]
    frame = TuSimpleFrame("clips/0/20.jpg", [lane_of(lane, list(TUSIMPLE_ROWS)) for lane in columns], TUSIMPLE_ROWS)
    write_tusimple(tmp_path / "own/test_label.json", [frame])
    convert(open_data(tmp_path / "own"), tmp_path / "out", to, workers=0)
    assert len(open_data(tmp_path / "out").open("test").lanes(0, (720, 1280))) == expected


def lane_of(columns: list[int], rows: list[int]) -> Lane:
    return Lane([(x, y) for x, y in zip(columns, rows, strict=True) if x >= 0], (720, 1280))


def test_an_image_that_is_listed_twice_is_refused_where_one_annotation_would_be_lost(tmp_path: Path) -> None:
    own(tmp_path / "own", "0.png", 0, "")
    lines = [json.dumps({"image": "0.png", "lanes": [[[x, 700], [600, 400]]]}) for x in (300, 900)]
    for split in SPLITS:
        (tmp_path / "own" / f"{split}.jsonl").write_text("\n".join(lines))
    for to in ("culane", "folder"):
        with pytest.raises(LgadError, match=r"0\.png is listed twice for train"):
            convert(open_data(tmp_path / "own"), tmp_path / to, to, workers=0)
    convert(open_data(tmp_path / "own"), tmp_path / "tusimple", "tusimple", workers=0)
    assert len((tmp_path / "tusimple" / "label_data_0313.json").read_text().splitlines()) == 2


def test_a_split_that_cannot_be_read_is_not_left_out_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in SPLITS:
        own(tmp_path / "own", f"{split}/0.png", 1, "5 700 40 100\n")
    (tmp_path / "own/val.jsonl").write_text('{"image": "val/0.png", "lanes": [')
    assert convert(open_data(tmp_path / "own"), tmp_path / "out", "culane", workers=0) == {"train": 1, "test": 1}
    assert "The split val is left out" in caplog.text
    assert "val.jsonl:1" in caplog.text


@pytest.mark.parametrize("names", [["a.ppm"], [".a/0.png"], ["b/images/0.png", "a/1.png"]])
def test_images_that_the_new_folder_would_not_find_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        own(tmp_path / "own", name, 1, "")
    lines = [json.dumps({"image": name, "lanes": [[[5, 700], [40, 100]]]}) for name in names]
    (tmp_path / "own/train.jsonl").write_text("\n".join(lines))
    with pytest.raises(LgadError, match=re.escape(f"{names[-1]} would not be found")):
        convert(open_data(tmp_path / "own"), tmp_path / "out", "folder", workers=0)
    assert convert(open_data(tmp_path / "own"), tmp_path / "culane", "culane", workers=0) == {"train": len(names)}


def test_an_interrupted_conversion_is_not_continued_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val"):
        own(tmp_path / "own", f"{split}/images/0.png", 1, "5 700 40 100\n")
        (tmp_path / "own" / split / "masks").mkdir()
        cv2.imwrite(str(tmp_path / "own" / split / "masks/0.png"), np.full((720, 1280), 1, np.uint8))
    with monkeypatch.context() as patch:
        patch.setitem(_LISTS, "culane", interrupted_after(_LISTS["culane"], "train"))
        with pytest.raises(KeyboardInterrupt):
            convert(open_data(tmp_path / "own", num_slots=4), tmp_path / "out", "culane", workers=0)
    convert(open_data(tmp_path / "own", num_slots=6), tmp_path / "out", "culane", workers=0)
    assert not list((tmp_path / "out").glob("**/*_gt.txt"))


def test_a_conversion_that_another_process_has_ended_is_not_done_again(
    roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def waited(path: Path) -> Iterator[None]:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/of the other").touch()
        yield

    monkeypatch.setattr("lgad_lightning.curation.convert.locked", waited)
    with pytest.raises(LgadError, match="not empty"):
        convert(open_data(roads), tmp_path / "out", "culane", workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_ignored_pixels_of_one_slot_do_not_become_lane(tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / "own" / split).mkdir(parents=True)
        (tmp_path / "own" / "masks" / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "own" / split / "0.jpg"), np.zeros((40, 60, 3), np.uint8))
        mask = np.zeros((40, 60), np.uint8)
        mask[30:], mask[5:25, 20:24] = 2, 1
        cv2.imwrite(str(tmp_path / "own" / "masks" / split / "0.png"), mask)
    ignored = LaneFolderDataModule(tmp_path / "own", num_slots=1, mask_values={1: 1, 2: 255})
    with pytest.raises(LgadError, match="has ignored pixels"):
        convert(ignored, tmp_path / "out", "folder", workers=0)
    known = LaneFolderDataModule(tmp_path / "own", num_slots=1, mask_values={1: 1, 2: 0})
    convert(known, tmp_path / "out", "folder", workers=0)


def test_masks_for_only_one_of_two_splits_with_a_common_folder_are_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        path = tmp_path / "own" / split / "1.jpg"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), np.zeros((60, 120, 3), np.uint8))
        path.with_suffix(".lines.txt").write_text("5 59 40 10\n")
    (tmp_path / "own/masks/train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "own/masks/train/1.png"), np.zeros((60, 120), np.uint8))
    own = LaneFolderDataModule(tmp_path / "own")
    with pytest.raises(LgadError, match="Of train and val, only one has masks"):
        convert(own, tmp_path / "out", "culane", workers=0)
    assert convert(own, tmp_path / "out", "folder", workers=0) == dict.fromkeys(SPLITS, 1)


class CutSource(CULaneSource):
    def image(self, index: int, reduce: bool = False) -> Any:
        return super().image(index, reduce)[20:]


class CutDataModule(CULaneDataModule):
    def source(self, split: Any) -> CutSource:
        return CutSource(self.root, split)


def test_images_read_in_ones_own_way_are_refused(roads: Path, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="CutSource reads images in its own way"):
        convert(CutDataModule(roads), tmp_path / "out", "folder", workers=0)


def test_lanes_that_were_taken_away_do_not_come_back_from_an_interrupted_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val", "test"):
        own(tmp_path / "own", f"{split}/images/0.png", 1, "5 700 40 100\n")
        (tmp_path / "own" / split / "masks").mkdir()
        cv2.imwrite(str(tmp_path / "own" / split / "masks/0.png"), np.eye(720, 1280, dtype=np.uint8))
    with monkeypatch.context() as patch:
        patch.setitem(_LISTS, "folder", interrupted_after(_LISTS["folder"], "train"))
        with pytest.raises(KeyboardInterrupt):
            convert(open_data(tmp_path / "own"), tmp_path / "out", "folder", workers=0)
    for path in (tmp_path / "own").rglob("*.lines.txt"):
        path.unlink()
    convert(open_data(tmp_path / "own"), tmp_path / "out", "folder", workers=0)
    assert not list((tmp_path / "out").rglob("*.lines.txt"))
