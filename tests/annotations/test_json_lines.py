import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.annotations.json_lines import JsonLines
from lgad_lightning.curation.check import check_data
from lgad_lightning.data import LaneFolderDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame

LANES = [[[10, 59], [12.5, 20]]]
OTHERS = {"weather": "rain", "note": 'a "raw_file": "x"}', "tags": ["image"], "meta": {"image": "no"}}


@given(
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=9),
    tusimple=st.booleans(),
    keys=st.permutations(["name", "lanes", *OTHERS]),
    ascii_only=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n", " \n"]),
)
def test_the_quick_look_finds_the_names_that_reading_gives(
    name: str, tusimple: bool, keys: list[str], ascii_only: bool, ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lanes: dict[str, Any] = {"lanes": [[12.5, 10]], "h_samples": [20, 59]} if tusimple else {"lanes": LANES}
    record: dict[str, Any] = {}
    for key in keys:
        if key == "name":
            record["raw_file" if tusimple else "image"] = f"clip/{name}.jpg"
        else:
            record |= lanes if key == "lanes" else {key: OTHERS[key]}
    path = tmp_path_factory.getbasetemp() / "a.jsonl"
    first = json.dumps({"image": "first.jpg", "lanes": []})
    content = f"{first}{ending}{json.dumps(record, ensure_ascii=ascii_only)}{ending}{ending}"
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    lines = JsonLines(path)
    assert list(lines.names) == ["first.jpg", f"clip/{name}.jpg"]
    found = lines.record(1)
    assert found.image == lines.names[1]
    assert sorted(found.lanes[0]) == sorted(LANES[0])


def test_tusimples_lanes_that_are_in_no_row_are_left_out(tmp_path: Path) -> None:
    record = {"raw_file": "a.jpg", "h_samples": [20, 59], "lanes": [[-2, -2], [12.5, 10]]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    assert JsonLines(tmp_path / "a.jsonl").record(0).lanes == [[[12.5, 20.0], [10.0, 59.0]]]


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


GOOD = {"image": "a.jpg", "lanes": LANES}


@pytest.mark.parametrize(
    "line", ["", "{", '{"image": "b.jpg", "lanes": [[', '{"lanes": []}', "[]", '{"image": 3}', '{"image": ".."}']
)
def test_a_line_that_names_no_image_is_told_at_once(line: str, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"a\.jsonl:2"):
        JsonLines(write(tmp_path / "a.jsonl", GOOD, line, GOOD))


@pytest.mark.parametrize(
    "line",
    [
        '{"image": "b.jpg", "lanes": [[1, 2]]}',
        '{"image": "b.jpg", "lanes": [], "lanes": []}',
        '{"image": "b.jpg", "lanes": [], "slot": [1]}',
        '{"image": "b.jpg", "lanes": [}',
        '{"raw_file": "b.jpg", "h_samples": [1], "lanes": [[1, 2]]}',
        '{"meta": {"image": "b.jpg"}}',
    ],
)
def test_what_is_wrong_with_lanes_is_told_by_line_when_they_are_read(line: str, tmp_path: Path) -> None:
    lines = JsonLines(write(tmp_path / "a.jsonl", GOOD, line, GOOD))
    assert lines.record(2).lanes == LANES
    with pytest.raises(LgadError, match=r"a\.jsonl:2"):
        lines.record(1)


def test_a_file_that_changes_gives_no_lanes_of_another_image(tmp_path: Path) -> None:
    lines = JsonLines(write(tmp_path / "a.jsonl", GOOD, GOOD | {"image": "b.jpg"}))
    write(tmp_path / "a.jsonl", GOOD | {"image": "c.jpg"}, GOOD | {"image": "d.jpg"})
    with pytest.raises(LgadError, match="another image"):
        lines.record(0)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(LgadError, match="cannot read"):
        lines.record(0)


def test_check_counts_every_garbled_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((60, 120, 3), np.uint8))
    bad = [GOOD | {"lanes": [[1]]}, GOOD | {"lanes": 3}]
    for name in ("train", "val", "test"):
        write(tmp_path / f"{name}.jsonl", GOOD, *bad, GOOD)
    result = check_data(LaneFolderDataModule(tmp_path, num_slots=2), workers=0)
    assert result["findings"]["lanes"]["count"] == 6
    assert "train.jsonl:2" in result["findings"]["lanes"]["examples"][0]


def test_one_slot_takes_lanes_of_any_slot(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", GOOD | {"slots": [3]})
    source = LaneFolderDataModule(tmp_path, num_slots=1).open("train")
    assert set(np.unique(source.label(0, Frame(60, 120), (60, 120)))) == {0, 1}


def test_lines_without_slots_need_an_even_number(tmp_path: Path) -> None:
    lines = [GOOD | {"slots": [3]}, GOOD, GOOD | {"slots": [1]}]
    write(tmp_path / "train.jsonl", *lines)
    source = LaneFolderDataModule(tmp_path, num_slots=3).open("train")
    assert [slot is not None for slot in source.slots(0, source.lanes(0, (60, 120)))] == [False, False, True]
    with pytest.raises(LgadError, match=r"num_slots=3 must be even"):
        source.slots(1, source.lanes(1, (60, 120)))
    write(tmp_path / "train.jsonl", *lines[::-1][:2])
    with pytest.raises(LgadError, match=r"num_slots=3 must be even"):
        LaneFolderDataModule(tmp_path, num_slots=3).open("train")


def test_lanes_keep_to_their_images_in_drawn_splits(tmp_path: Path) -> None:
    records = [{"image": f"clip_{n // 4}/{n}.jpg", "lanes": [[[n, 59], [n, 20]]]} for n in range(40)]
    write(tmp_path / "a.jsonl", *records[:13])
    write(tmp_path / "b.jsonl", *records[13:])
    data = LaneFolderDataModule(tmp_path, split="0.5/0.25/0.25", num_slots=2)
    seen = []
    for split in ("train", "val", "test"):
        source = data.open(split)
        for index, name in enumerate(source.names):
            (lane,) = source.lanes(index, (60, 120))
            seen.append(int(np.unique(lane.points[:, 0]).item()))
            assert Path(name).stem == str(seen[-1])
            assert source.label_path(index).name == ("a.jsonl" if seen[-1] < 13 else "b.jsonl")
    assert sorted(seen) == list(range(40))
