"""`lgad-data check` names what usually lies behind labels that do not fit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.check_image import check_image
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.lanes import Lane, read_lines, write_lines

SIZE = (148, 410)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SyntheticData(6, 3, 3, SIZE), tmp_path_factory.mktemp("causes") / "roads", workers=0)


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "roads"))


def changed_lanes(root: Path, change: Callable[[Any], Any]) -> None:
    for path in root.rglob("*.lines.txt"):
        write_lines(path, [Lane(change(lane.points), SIZE) for lane in read_lines(path, SIZE)])


def changed_masks(root: Path, change: Callable[[Any], Any]) -> None:
    for path in root.glob("laneseg_label_w16*/**/*.png"):
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).astype(np.uint8))


def numbered(root: Path) -> None:
    for path in root.rglob("*.lines.txt"):
        lines = path.read_text().splitlines()
        path.write_text("".join(f"{number} {line}\n" for number, line in enumerate(lines, start=1)))


def emptied(root: Path) -> None:
    for path in root.rglob("*.lines.txt"):
        path.write_text("")


def one_clip_twice(root: Path) -> None:
    lists = root / "list"
    first, *others = (lists / "train_gt.txt").read_text().splitlines(keepends=True)
    (lists / "train_gt.txt").write_text("".join(others))
    (lists / "val_gt.txt").write_text((lists / "val_gt.txt").read_text() + first)


def mirrored(mask: Any) -> Any:
    return (5 - mask) * (mask > 0)


def side_by_side(mask: Any) -> Any:
    return np.where(np.isin(mask, [1, 4]), 1, mask)


CAUSES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "lines that begin with a number": ("lanes", "begins with its number", numbered),
    "masks multiplied for viewing": (
        "label",
        "60 times 1 to",
        lambda root: changed_masks(root, lambda m: 60 * m),
    ),
    "x and y exchanged": ("exchanged", "change places", lambda root: changed_lanes(root, lambda p: p[:, ::-1])),
    "another image size": ("size", "reach 2.0", lambda root: changed_lanes(root, lambda points: 2 * points)),
    "CULane's size": ("size", "CULane's 1640 x 590", lambda root: changed_lanes(root, lambda points: 4 * points)),
    "a smaller copy": ("size", "smaller copy", lambda root: changed_lanes(root, lambda points: points / 2)),
    "one clip in two splits": ("clip", "in train and in val", one_clip_twice),
    "left and right exchanged": (
        "order",
        "right to left",
        lambda root: changed_masks(root, mirrored),
    ),
    "an empty annotation": ("empty", "its mask shows class", emptied),
    "two lanes of a class": ("double", "class 1 is in two places", lambda root: changed_masks(root, side_by_side)),
}


def test_of_a_sound_data_set_nothing_is_said(sound: Path) -> None:
    assert check_data(open_data(sound), workers=0)["findings"] == {}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named(cause: str, root: Path) -> None:
    kind, message, damage = CAUSES[cause]
    damage(root)
    findings = check_data(open_data(root), workers=0)["findings"]
    assert kind in findings, findings
    assert any(message in example for example in findings[kind]["examples"]), findings[kind]


def test_real_frames_are_as_they_should_be(shared_dir: Path) -> None:
    real = open_data(shared_dir / "real/culane", "culane")
    sources = {"train": real.open("train")}
    kinds = {
        finding.kind for index in range(41) for finding in check_image(sources, {}, 800, ("train", index)).findings
    }
    assert kinds <= {"disagree", "unused"}
