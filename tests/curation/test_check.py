"""`check` and a training agree: what one calls ready the other loads, what the other refuses `check` reports."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lgad_lightning.curation import check
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.curation.preview import contact_sheet
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.errors import LgadError

SIZE = (60, 164)
LANES = [[[10, 59], [70, 10]], [[150, 59], [90, 10]]]


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    return generate(SyntheticData(3, 1, 1, SIZE), tmp_path / "roads", workers=0)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one's own: two training images, one to validate, one to test."""
    root = tmp_path / "own"
    for name in ("train/0", "train/1", "val/0", "test/0"):
        write_image(root / f"{name}.png")
        write_lanes(root / f"{name}.lines.txt", LANES)
    return root


@pytest.fixture
def lines(own: Path) -> Path:
    """The same with a `train.jsonl`."""
    write_records(own, {"image": "train/0.png", "lanes": LANES})
    return own


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))


def write_lanes(path: Path, lanes: list[Any]) -> None:
    path.write_text("".join(" ".join(f"{x} {y}" for x, y in lane) + "\n" for lane in lanes))


def write_records(root: Path, *records: dict[str, Any]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    (root / "train.jsonl").write_text(text)


def load(root: Path) -> int:
    """Loads everything as a training and its test do; returns the number of training images."""
    module = open_data(root, input_size=(32, 96), batch_size=1, num_workers=0, augmentation=False)
    module.prepare_data()
    module.setup()
    list(module.val_dataloader())
    list(module.test_dataloader())
    return len(list(module.train_dataloader()))


def viewing_masks(root: Path) -> None:
    for path in (root / "laneseg_label_w16").rglob("*.png"):
        cv2.imwrite(str(path), 255 * (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8))


def huge_mask(root: Path) -> None:
    path = next((root / "laneseg_label_w16").rglob("train_000.MP4/00000.png"))
    path.write_bytes(png_header(30_000, 30_000))


def png_header(height: int, width: int) -> bytes:
    sound = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    return sound[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + sound[24:]


def latin_list(root: Path) -> None:
    source = next(root.rglob("train_000.MP4/00000.jpg"))
    for ending in (".jpg", ".lines.txt"):
        shutil.copyfile(source.with_suffix(ending), os.fsencode(root) + b"/\xe4" + ending.encode())
    masks = root / "laneseg_label_w16"
    shutil.copyfile(next(masks.rglob("train_000.MP4/00000.png")), os.fsencode(masks) + b"/\xe4.png")
    path = root / "list/train_gt.txt"
    path.write_bytes(path.read_bytes() + b"/\xe4.jpg /\xe4.png 1 1 1 1\n")


def latin_file(root: Path) -> None:
    for ending in (b".png", b".lines.txt"):
        shutil.copyfile(os.fsencode(root / "train/0") + ending, os.fsencode(root / "train") + b"/\xe4" + ending)


def utf16_list(root: Path) -> None:
    path = root / "list/train_gt.txt"
    path.write_text(path.read_text(), encoding="utf-16")


def many_lanes(root: Path) -> None:
    write_lanes(root / "train/0.lines.txt", [[[x % 164, 59], [80, 10]] for x in range(5000)])


def key(name: str, value: object) -> Callable[[Path], None]:
    return lambda root: write_records(root, {"image": "train/0.png", "lanes": LANES, name: value})


def image_name(name: str) -> Callable[[Path], None]:
    return lambda root: write_records(root, {"image": "train/0.png", "lanes": []}, {"image": name, "lanes": []})


REFUSED: dict[str, tuple[str, Callable[[Path], None], str, str]] = {
    "masks of 0 and 255": ("roads", viewing_masks, "label", "255 is ignored"),
    "a mask of 900 megapixels": ("roads", huge_mask, "label", "30000 x 30000 pixels"),
    "a list of a Latin-1 name": ("roads", latin_list, "split", "no UTF-8"),
    "a list in UTF-16": ("roads", utf16_list, "split", "train_gt.txt:1"),
    "a file of a Latin-1 name": ("own", latin_file, "split", "no UTF-8"),
    "thousands of lanes": ("own", many_lanes, "lanes", "5000 annotated lanes"),
    "slot for slots": ("lines", key("slot", [2, 3]), "split", "'slots' meant"),
    "Slots for slots": ("lines", key("Slots", [2, 3]), "split", "'slots' meant"),
    "a name with NUL": ("lines", image_name("a\0.png"), "split", "train.jsonl:2"),
    "a name with half a surrogate pair": ("lines", image_name("\ud800.png"), "split", "train.jsonl:2"),
    "a name that is too long": ("lines", image_name("x" * 5000), "split", "train.jsonl:2"),
    "a name of a folder": ("lines", image_name("train/.."), "split", "train.jsonl:2"),
    "a list in UTF-16 of JSON": (
        "lines", lambda root: (root / "train.jsonl").write_text("{}", "utf-16") and None, "split", "not a text file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_loading_refuses_is_reported(request: pytest.FixtureRequest, fault: str) -> None:
    kind_of_set, damage, kind, message = REFUSED[fault]
    root = request.getfixturevalue(kind_of_set)
    assert check_data(open_data(root), workers=0)["ok"]
    assert load(root)
    damage(root)
    with pytest.raises(LgadError) as refused:
        load(root)
    assert message in str(refused.value)
    result = check_data(open_data(root), workers=0)
    assert not result["ok"]
    assert message in result["findings"][kind]["examples"][0]


def test_a_broken_image_is_one_error(own: Path) -> None:
    shutil.rmtree(own / "train")
    image, mask = own / "train/images/0.png", own / "train/masks/0.png"
    for path in (image, mask):
        path.parent.mkdir(parents=True)
    image.write_bytes(b"no image")
    cv2.imwrite(str(mask), np.ones(SIZE, np.uint8))
    findings = check_data(open_data(own), workers=0)["findings"]
    assert {kind: finding["count"] for kind, finding in findings.items()} == {"image": 1}


def test_predictions_of_equal_names_are_reported(own: Path) -> None:
    write_image(own / "test/0.jpg")
    write_records(own, *({"image": f"test/0.{ending}", "lanes": LANES} for ending in ("jpg", "png")))
    (own / "train.jsonl").rename(own / "test.jsonl")
    result = check_data(open_data(own), workers=0)
    assert not result["ok"]
    assert "0.jpg" in result["findings"]["names"]["examples"][0]


def test_a_folder_that_links_to_itself_and_hidden_files_are_read_once(own: Path) -> None:
    (own / "train/again").symlink_to(own / "train")
    (own / "train/above").symlink_to(own)
    (own / "train/._0.png").write_bytes(b"\0\5\x16\7 of another system")
    write_image(own / "train/.thumbnails/0.png")
    result = check_data(open_data(own), workers=0)
    assert result["ok"]
    assert (
        result["splits"]["train"]["images"] == load(own) == 4
    )  # its own two, and those of val and test behind `above`


def test_a_folder_is_read_where_it_is_rather_than_behind_a_link(own: Path) -> None:
    (own / "train/deep").mkdir()
    (own / "train/0.png").rename(own / "train/deep/0.png")
    (own / "train/0.lines.txt").rename(own / "train/deep/0.lines.txt")
    (own / "train/a link").symlink_to(own / "train/deep")
    assert list(open_data(own).open("train").names) == ["train/1.png", "train/deep/0.png"]


def test_other_keys_are_left_to_the_user(lines: Path) -> None:
    key("weather", "rain")(lines)
    assert check_data(open_data(lines), workers=0)["ok"]
    assert load(lines) == 1


def test_lanes_without_a_slot_are_told(own: Path) -> None:
    write_lanes(own / "train/0.lines.txt", [[[4 * x, 59], [80, 10]] for x in range(40)])
    result = check_data(open_data(own), workers=0)
    assert result["ok"]
    assert load(own) == 2
    assert "36 of 40 lanes get none of 4 slots" in result["findings"]["unused"]["examples"][0]


def test_a_short_lane_with_a_slot_is_told(lines: Path) -> None:
    write_records(lines, {"image": "train/0.png", "lanes": [[[5, 5]], *LANES], "slots": [1, 2, 3]})
    findings = check_data(open_data(lines), workers=0)["findings"]
    assert {kind: finding["count"] for kind, finding in findings.items()} == {"short": 1}


def test_masks_of_other_classes_than_the_lanes_are_told(roads: Path) -> None:
    for path in (roads / "laneseg_label_w16").rglob("*.png"):
        cv2.imwrite(str(path), (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8))
    assert "disagree" in check_data(open_data(roads), workers=0)["findings"]


def test_a_mask_may_ignore_what_is_no_lane(roads: Path) -> None:
    for path in (roads / "laneseg_label_w16").rglob("*.png"):
        cv2.imwrite(str(path), np.full(SIZE, 255, np.uint8))
    for path in roads.rglob("*.lines.txt"):
        path.write_text("")
    findings = check_data(open_data(roads), workers=0)["findings"]
    assert {kind for kind, finding in findings.items() if finding["severity"] == "error"} == {"none"}
    assert load(roads) == 3


def test_a_preview_draws_any_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = open_data(own, input_size=(32, 96))
    source = module.source("train")
    source.names = ["train/\udce4.png"]  # as a data set of one's own may name it
    for ending in (".png", ".lines.txt"):
        shutil.copyfile(own / f"train/0{ending}", own / f"train/\udce4{ending}")
    monkeypatch.setattr(module, "source", lambda split: source)
    assert contact_sheet(module, "train", 1).shape == (32, 3 * 96, 3)


def test_a_byte_order_mark_and_blank_lines_at_the_end_of_json_lines_are_nothing(lines: Path) -> None:
    path = lines / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n  \r\n\n")
    assert check_data(open_data(lines), workers=0)["ok"]
    assert load(lines) == 1


def test_a_split_without_a_lane_is_an_error(own: Path) -> None:
    for path in own.glob("train/**/*.lines.txt"):
        path.write_text("")
    result = check_data(open_data(own), workers=0)
    assert not result["ok"]
    assert "train has" in result["findings"]["none"]["examples"][0]


def test_an_interrupted_check_is_not_continued_with_another_list(
    roads: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(total: Any, report: Any) -> None:
        added.append(report)
        if len(added) == 2:
            raise KeyboardInterrupt
        count(total, report)

    added: list[Any] = []
    count = check._add
    with monkeypatch.context() as patch:
        patch.setattr(check, "_add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check_data(open_data(roads), workers=0)
    path = roads / "list/train_gt.txt"
    path.write_text(path.read_text().replace(" 1", " 0"))
    result = check_data(open_data(roads), workers=0)
    assert result["findings"]["bits"]["count"] == result["splits"]["train"]["images"]


def test_masks_that_vanish_at_the_size_of_the_input_are_told(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_image(tmp_path / split / "0.png")
        mask = np.zeros(SIZE, np.uint8)
        mask[:, 20], mask[:, 80:90] = 1, 2
        (tmp_path / "masks" / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "masks" / split / "0.png"), mask)
    for width, thin in ((80, True), (164, False)):
        module = open_data(tmp_path, "folder", num_slots=2, input_size=(30, width))
        findings = check_data(module, workers=0)["findings"]
        assert ("thin" in findings) == thin
    assert "0.5 px wide of 80" in str(check_data(open_data(tmp_path, "folder", num_slots=2, input_size=(30, 80)), 0))
