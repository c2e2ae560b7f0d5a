"""Every reader gives lanes of finite numbers, or one `LgadError` that names the file: whatever the file holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.annotations.bdd100k import BDD100KRecords
from lgad_lightning.annotations.curvelanes import read_curvelanes
from lgad_lightning.annotations.labelme import read_labelme
from lgad_lightning.annotations.llamas import read_llamas
from lgad_lightning.annotations.openlane import read_openlane
from lgad_lightning.annotations.records import Records, open_records
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import read_lines

Read = Callable[[Path], list[Any]]

POINTS = "[[10, 59], [12.5, 20]]"
LINES = '[{"x": "10", "y": "59"}, {"x": "12.5", "y": "20"}]'
FLAT = "[10, 59, 12.5, 20]"
COCO = '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "segmentation": [%s]}]}'
FORMATS: dict[str, tuple[str, str, str, Read]] = {
    "curvelanes": ("a.lines.json", '{"Lines": [%s]}', LINES, lambda path: list(read_curvelanes(path))),
    "labelme": (
        "a.json", '{"shapes": [{"label": "lane", "shape_type": "linestrip", "points": %s}]}', POINTS,
        lambda path: read_labelme(path).lanes,
    ),
    "labelme polygon": ("a.json", '{"shapes": [{"points": %s}]}', POINTS, lambda path: read_labelme(path).lanes),
    "coco": ("a.json", COCO, FLAT, lambda path: lanes_of(path)),
    "own lines": ("a.jsonl", '{"image": "a.jpg", "lanes": [%s]}', POINTS, lambda path: lanes_of(path)),
    "tusimple": (
        "a.json", '{"raw_file": "a.jpg", "h_samples": [20, 59], "lanes": [%s]}', "[12.5, 10]",
        lambda path: lanes_of(path),
    ),
    "cvat": (
        "a.xml", '<annotations><image name="a.jpg"><polyline points="%s"/></image></annotations>', "10,59;12.5,20",
        lambda path: lanes_of(path),
    ),
    "llamas": (
        "a.json", '{"lanes": [{"lane_id": "l0", "markers": %s}]}',
        '[{"pixel_start": {"x": 9, "y": 59}, "pixel_end": {"x": 9, "y": 20}, "world_start": {"z": -1}}]',
        lambda path: list(read_llamas(path).values()),
    ),
    "openlane": (
        "a.json", '{"lane_lines": [{"category": 1, "uv": %s}]}', "[[10, 12.5], [59, 20]]",
        lambda path: [line.points for line in read_openlane(path)],
    ),
    "bdd100k": (
        "a.json", '[{"name": "a.jpg", "labels": [{"category": "single white", "poly2d": [{"vertices": %s}]}]}]', POINTS,
        lambda path: lanes_in(BDD100KRecords(path)),
    ),
    "lines": ("a.lines.txt", "%s\n", "10 59 12.5 20", lambda path: [lane.points.tolist() for lane in read_lines(path)]),
}  # fmt: skip


def lanes_of(path: Path) -> list[Any]:
    return lanes_in(open_records(path))


def lanes_in(records: Records) -> list[Any]:
    return [lane for index in range(len(records.names)) for lane in records.record(index).lanes]


VALUES = [
    "",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "1" * 400,
    "1" * 5000,
    '"text"',
    "{}",
    "[]",
    "[[]]",
    "[null]",
    "[[null, null]]",
    "[[1]]",
    "[[1, 2, 3]]",
    "[[1, [2]]]",
    '[["1", "2"]]',
    "[[true, false]]",
    "[[1, 2], 3]",
    "[[1, 2], [3]]",
    "[1, 2, 3]",
    "[1e400, 2]",
    "[[1e39, 2]]",
    "[" * 20_000,
    "[" * 500 + "]" * 500,
    '{"x": 1}',
    '[{"x": 1, "y": "two"}]',
    '[{"x": null, "y": null}]',
    '[{"x": "nan", "y": "inf"}]',
    '[{"x": {}, "y": []}]',
    "\0",
    "\ud7ff",
    "\\u0000",
    "[1, 2",
    "]",
    "}",
    "'",
    '"',
    "&lt;",
    "&a;",
    "<",
    "1,2;3",
    "1,2,3",
    ";",
    ",",
    "nan,inf",
    "1,2;x,y",
    "1 2 3",
    "1 300 589 350 500",
    "0x10 1",
    "--",
    "1_0 2",
    "/* */ [[1, 2]]",
]
"""What may stand where a lane should."""


def bad_files(template: str, good: str) -> dict[str, bytes]:
    """Files that are wrong as a whole."""
    text = template % good
    many = ", ".join([good] * 9_999)
    long = {POINTS: "[[1, 2]" + ", [1, 2]" * 999_999 + "]", FLAT: "[1, 2" + ", 1, 2" * 999_999 + "]"}.get(good, good)
    return {
        "nothing": b"",
        "blanks": b" \n\n",
        "a byte-order mark": b"\xef\xbb\xbf" + text.encode(),
        "two byte-order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + text.encode(),
        "CRLF": text.replace("\n", "\r\n").encode() + b"\r\n",
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "Latin-1": b"\xe4" + text.encode(),
        "zeros": bytes(1000),
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "a zip": b"PK\3\4" + bytes(100),
        "cut in half": text.encode()[: len(text) // 2],
        "without its end": text.encode()[:-1],
        "twice": (text + text).encode(),
        "with something behind": text.encode() + b" x",
        "every key twice": text.replace('": ', '": 1, "x": 1, "x": ').encode(),
        "thousands of lanes": (template % many).encode(),
        "a million points": (template % long).encode(),
        "another value": b"[1, 2]",
        "a number": b"7",
        "null": b"null",
        "text": b'"text"',
        "an empty object": b"{}",
        "objects in objects": b'{"a":' * 20_000,
        "entities": b'<!DOCTYPE a [<!ENTITY b "bbbb">]><annotations>&b;</annotations>',
        "another tree": b"<svg/>",
        "a tree of tracks": b"<annotations><track/></annotations>",
        "a tree that is deep": b"<annotations>" + b"<a>" * 20_000,
        "an image without a name": b"<annotations><image/></annotations>",
        "names that are none": text.replace("a.jpg", "").encode(),
        "names of folders": text.replace("a.jpg", "..").encode(),
        "names of a strange length": text.replace("a.jpg", "a" * 5000).encode(),
        "surrogates": text.replace("a.jpg", "\\ud800.jpg").encode(),
        "sizes that are none": text.replace("{", '{"imageHeight": -1, "imageWidth": "x", ', 1).encode(),
        "an id that is none": text.replace('"id": 1', '"id": "x"').encode(),
        "an id of nobody": text.replace('"image_id": 1', '"image_id": 2').encode(),
        "run lengths": text.replace(f"[{good}]", '{"counts": "x"}').encode(),
        "lists for objects": text.replace("{", "[").replace("}", "]").encode(),
        "another category": text.replace('"image_id"', '"category_id": [], "image_id"').encode(),
    }


def read_or_refuse(read: Read, path: Path) -> None:
    refused = None
    try:
        lanes = read(path)
    except LgadError as error:
        refused = str(error)
    if refused is not None:
        assert str(path) in refused
        return
    for lane in lanes:
        assert np.isfinite(np.array(lane, dtype=float).reshape(-1, 2)).all()


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "llamas"])
def test_what_is_right_is_read(kind: str, tmp_path: Path) -> None:
    name, template, good, read = FORMATS[kind]
    (tmp_path / name).write_text(template % good)
    assert [sorted(lane) for lane in read(tmp_path / name)] == [[[10, 59], [12.5, 20]]]


@pytest.mark.parametrize("kind", FORMATS)
def test_hostile_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    name, template, good, read = FORMATS[kind]
    contents = {repr(value): (template % value).encode(errors="surrogatepass") for value in VALUES}
    contents |= bad_files(template, good)
    assert len(contents) >= 90
    for content in contents.values():
        (tmp_path / name).write_bytes(content)
        read_or_refuse(read, tmp_path / name)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y", "points"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=300)
@given(value=values.map(json.dumps) | st.text(max_size=30), noise=st.none() | st.binary(max_size=60))
def test_random_files_are_read_or_refused(
    kind: str, value: str, noise: bytes | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, template, _, read = FORMATS[kind]
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes((template % value).encode(errors="surrogatepass") if noise is None else noise)
    read_or_refuse(read, path)
