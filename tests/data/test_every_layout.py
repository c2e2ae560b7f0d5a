"""What every layout must stand: packed and read back, checked, and written in the other layouts."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.convert import Target, convert
from lgad_lightning.curation.layouts import layouts, open_data
from lgad_lightning.curation.pack import pack
from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.source import SPLITS
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from tests.helpers.layouts import EVERY
from tests.helpers.packed import assert_same_batches

SETTINGS = {"input_size": (36, 80), "batch_size": 1, "num_workers": 0}


def opened(name: str, root: Path) -> LaneDataModule:
    """The data set of that name, made if it is not there yet, as `lgad-data` opens it."""
    if not root.exists():
        EVERY[name].make(root)
    return open_data(root, **SETTINGS, **EVERY[name].settings)


def test_every_layout_of_the_package_is_among_them() -> None:
    assert {layout.layout for layout in EVERY.values()} == set(layouts())


@pytest.mark.zoo
@pytest.mark.parametrize("name", EVERY)
def test_what_is_packed_is_read_back(name: str, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    files = opened(name, tmp_path / "files")
    assert files.layout == EVERY[name].layout
    pack(files, tmp_path / "packed", workers=0)
    packed = open_data(tmp_path / "packed", **SETTINGS, **EVERY[name].settings)
    assert type(packed) is type(files)
    assert_same_batches(files, packed)
    assert packed.identity == files.identity
    for split in SPLITS:
        before, after = files.open(split), packed.open(split)
        for index in range(len(before)):
            size = before.image(index).shape[:2]
            lanes = [[lane.points.tolist() for lane in source.lanes(index, size)] for source in (before, after)]
            assert lanes[0] == lanes[1]
    assert check_data(packed, workers=0)["ok"]


@pytest.mark.parametrize("to", get_args(Target))
@pytest.mark.parametrize("name", EVERY)
def test_what_is_converted_has_the_same_images_and_lanes(name: str, to: Target, tmp_path: Path) -> None:
    before = opened(name, tmp_path / "before")
    convert(before, tmp_path / "after", to, workers=0)
    settings = {"num_slots": max(1, before.num_slots // 2 * 2)} if to == "folder" else {}
    after = open_data(tmp_path / "after", **SETTINGS, **settings)
    assert after.layout == to
    result = check_data(after, workers=0)
    assert result["ok"], result["findings"]
    assert "disagree" not in result["findings"]
    for split in SPLITS:
        first, second = before.open(split), after.open(split)
        assert len(first) == len(second)
        for index in range(len(first)):
            size = first.image(index).shape[:2]
            assert (first.image(index) == second.image(index)).all()
            lanes = [source.lanes(index, size) for source in (first, second)]
            assert len(lanes[0]) == len(lanes[1])
            for one, other in zip(*lanes, strict=True):
                assert_same_lane(one.bottom_up() if to == "culane" else one, other, exactly=to != "tusimple")


def assert_same_lane(one: Lane, other: Lane, exactly: bool) -> None:
    """The same points, or the same line in the rows of the other."""
    if exactly:
        assert one.points.tolist() == other.points.tolist()
    else:
        rows = other.points[:, 1]
        expected = one.x_at(rows)
        assert other.points[:, 0] == pytest.approx(expected, abs=0.01)
        inside = (one.points[:, 0] >= 0).all()
        high = np.ptp(one.points[:, 1]) > 30
        assert len(rows) > 1 or not inside or not high


HOSTILE = {
    "nothing": lambda text: b"",
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "UTF-16": lambda text: text.decode("latin-1").encode("utf-16"),
    "cut off": lambda text: text[: len(text) // 2],
    "twice": lambda text: text + text,
    "zeros": lambda text: bytes(len(text)),
    "not a number": lambda text: text.replace(b"5", b"NaN"),
    "huge numbers": lambda text: text.replace(b"5", b"1e300"),
    "minus": lambda text: text.replace(b"1", b"-1"),
    "text for numbers": lambda text: re.sub(rb"\d+", b'"x"', text),
    "null": lambda text: re.sub(rb"\d+", b"null", text),
    "lists in lists": lambda text: text.replace(b"[", b"[[[").replace(b"]", b"]]]"),
    "deep": lambda text: b"[" * 50_000,
    "many lanes": lambda text: b"1 2 3 4\n" * 9_999,
    "keys twice": lambda text: text.replace(b"{", b'{"x": 1, "x": 2, '),
    "an image": lambda text: b"\x89PNG\r\n\x1a\n" + bytes(50),
    "other kinds": lambda text: text.replace(b"[", b"{").replace(b"]", b"}"),
}


@pytest.mark.parametrize("name", [name for name in EVERY if "masks" not in name and "centres" not in name])
def test_hostile_files_are_counted_findings(name: str, tmp_path: Path) -> None:
    opened(name, tmp_path / "files")
    texts = [
        path for path in sorted((tmp_path / "files").rglob("*")) if path.suffix in (".txt", ".json", ".jsonl", ".xml")
    ]
    of_each_kind = {"".join(path.suffixes): path for path in texts}
    assert of_each_kind
    for path in of_each_kind.values():
        content = path.read_bytes()
        for spoil in HOSTILE.values():
            path.write_bytes(spoil(content))
            try:
                result = check_data(opened(name, tmp_path / "files"), workers=0)
            except LgadError:
                continue  # the layout is not recognised any more
            assert result["ok"] or any(found["severity"] == "error" for found in result["findings"].values())
        path.write_bytes(content)
    assert check_data(opened(name, tmp_path / "files"), workers=0)["ok"]
