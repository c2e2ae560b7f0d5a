"""COCO, CVAT and BDD100K: the names at once, the lanes of an image when it is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lgad_lightning.annotations.bdd100k import BDD100KRecords
from lgad_lightning.annotations.coco import CocoRecords
from lgad_lightning.annotations.cvat import CvatRecords
from lgad_lightning.annotations.polylines import is_open
from lgad_lightning.annotations.records import Records, open_records
from lgad_lightning.errors import LgadError


def coco(*names: str, **image: Any) -> str:
    """Image n has n + 1 lanes; the annotations come in another order."""
    images = [{"id": 7 * n, "file_name": name, "height": 60, "width": 120} | image for n, name in enumerate(names)]
    lanes = [
        {"id": 100 * n + lane, "image_id": 7 * n, "category_id": lane % 2, "segmentation": [[n, 59, lane, 20]]}
        for lane in range(len(names))
        for n in range(lane, len(names))
    ]
    kinds = [{"id": 0, "name": "lane"}, {"id": 1, "name": "kerb"}]
    return json.dumps({"annotations": lanes, "info": {"images": [{"id": 3}]}, "categories": kinds, "images": images})


def bdd100k(*names: str) -> str:
    label = {"category": "single white", "poly2d": [{"vertices": [[1, 59], [2, 20]], "types": "LL"}]}
    return json.dumps([{"name": name, "labels": [label] * (n + 1)} for n, name in enumerate(names)])


def cvat(*names: str) -> str:
    shape = '<polyline label="lane" points="1,59;2,20"><attribute name="image">&lt;image&gt;</attribute></polyline>'
    images = [f'<image id="0" name="{name}" width="120" height="60">{shape * (n + 1)}</image>\n' for n, name in
              enumerate(names)]  # fmt: skip
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return f"{head}<!-- <image> in a comment --><meta/>{''.join(images)}<image name='last.jpg'\n/></annotations>\n"


KINDS: dict[str, tuple[Callable[..., str], Callable[[Path], Records]]] = {
    "coco": (coco, CocoRecords),
    "bdd100k": (bdd100k, BDD100KRecords),
    "cvat": (cvat, CvatRecords),
}


def opened(kind: str, path: Path, *names: str) -> Records:
    write, read = KINDS[kind]
    path.write_text(write(*names))
    return read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_has_its_lanes(kind: str, tmp_path: Path) -> None:
    names = ["b.jpg", "a/ü.jpg", "c d.jpg"]
    records = opened(kind, tmp_path / "a.json", *names)
    assert list(records.names) == [*names, "last.jpg"][: 3 + (kind == "cvat")]
    for index, name in enumerate(names):
        found = records.record(index)
        assert (found.image, len(found.lanes)) == (name, index + 1)
        assert found.size == (None if kind == "bdd100k" else (60, 120))
    if kind == "coco":
        assert records.record(2).lanes == [[[2, 59], [lane, 20]] for lane in range(3)]
    if kind == "cvat":
        assert records.record(3).lanes == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_gives_no_lanes_of_another_image(kind: str, tmp_path: Path) -> None:
    records = opened(kind, tmp_path / "a.json", "a.jpg", "b.jpg")
    opened(kind, tmp_path / "a.json", "c.jpg", "d.jpg")
    with pytest.raises(LgadError, match=r"a\.json: image 2 has .*another (name|one) than when the file was opened"):
        records.record(1)
    (tmp_path / "a.json").write_text("")
    with pytest.raises(LgadError, match="image 2"):
        records.record(1)
    (tmp_path / "a.json").unlink()
    with pytest.raises(LgadError, match="cannot read"):
        records.record(1)


def test_what_is_wrong_with_one_image_is_told_when_it_is_read(tmp_path: Path) -> None:
    for kind, good, bad in (
        ("coco", '"segmentation": [[1, 59', '"segmentation": [[null, 59'),
        ("bdd100k", "[2, 20]]", "[2]]"),
        ("cvat", "1,59;2,20", "1,59;x,20"),
    ):
        write, read = KINDS[kind]
        before, image, behind = write("a.jpg", "b.jpg").partition("b.jpg" if kind != "coco" else '"image_id": 7,')
        (tmp_path / "a.json").write_text(before + image + behind.replace(good, bad))
        records = read(tmp_path / "a.json")
        assert len(records.record(0).lanes) == 1
        with pytest.raises(LgadError, match=r"a\.json: (image|annotation) 2"):
            records.record(1)


def test_keys_that_lie_in_other_values_are_not_taken_for_those_of_an_image(tmp_path: Path) -> None:
    records = opened("coco", tmp_path / "a.json", "a.jpg")
    text = coco("a.jpg", meta={"id": 5, "file_name": "x.jpg"})
    (tmp_path / "a.json").write_text(text)
    records = CocoRecords(tmp_path / "a.json")
    assert (list(records.names), len(records.record(0).lanes)) == (["a.jpg"], 1)
    (tmp_path / "a.json").write_text(text.replace('"image_id": 0', '"attributes": {"image_id": 0}'))
    with pytest.raises(LgadError, match="annotation 1 has no 'image_id'"):
        CocoRecords(tmp_path / "a.json").record(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("<annotations><image name='a.jpg'>", "image 1 has no end"),
        ("<annotations><image name='a.jpg'><image name='b.jpg'/></image></annotations>", "image 2: not XML"),
        ("<annotations><image name='a.jpg' b></image></annotations>", "image 1: not XML"),
        ("<annotations><image/></annotations>", "image 1 has no name"),
        ("<annotations><image name='..'/></annotations>", "image 1: '..' is no name"),
        ("<image name='a.jpg'/>", "expected <annotations>"),
        ("<annotations><image name='a.jpg'/></image></annotations>", "outside of images: not XML"),
        ("<annotations><!-- </annotations>", "what begins at byte 13 has no end"),
        ("<annotations><track/></annotations>", "expected <annotations> with <image>s"),
        ("<!DOCTYPE a><annotations/>", "declares a document type"),
    ],
)
def test_xml_that_is_none_of_cvat(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(LgadError, match=message):
        CvatRecords(tmp_path / "a.xml")


def test_names_in_xml_may_hold_entities(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<annotations><image label=" name=\'x\'" name="a &amp; b&#46;jpg"/></annotations>')
    records = CvatRecords(tmp_path / "a.xml")
    assert (list(records.names), records.record(0).image) == (["a & b.jpg"], "a & b.jpg")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([59, 40, 40, 20], True),
        ([20, 40, 40, 59], True),
        ([59, 59, 20, 20], False),  # corners of a polygon
        ([59, 20, 20, 59], False),
        ([59, 59, 20], False),
        ([40, 40], False),
        ([], True),
    ],
)
def test_a_line_of_coco_may_be_level_in_its_middle(rows: list[float], expected: bool) -> None:
    assert is_open([[3.0 * number, row] for number, row in enumerate(rows)]) is expected


def test_categories_that_a_file_does_not_have_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(coco("a.jpg"))
    with pytest.raises(LgadError, match=r"none of its categories \(kerb, lane\) is in categories=\['Lane'\]"):
        CocoRecords(tmp_path / "a.json", ["Lane"])
    assert len(CocoRecords(tmp_path / "a.json", ["Lane", "lane"]).record(0).lanes) == 1


def test_boxes_are_not_taken_for_no_lanes(tmp_path: Path) -> None:
    content = json.loads(coco("a.jpg"))
    content["annotations"][0] |= {"segmentation": [], "bbox": [1, 2, 3, 4]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(LgadError, match="annotation 1 has no 'segmentation' with points"):
        CocoRecords(tmp_path / "a.json").record(0)
    assert CocoRecords(tmp_path / "a.json", ["kerb"]).record(0).lanes == []


def test_a_long_line_of_coco_may_say_image(tmp_path: Path) -> None:
    content = {"info": {"contributor": "image"}, **json.loads(coco(*(f"{n}.jpg" for n in range(60))))}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert (tmp_path / "a.json").stat().st_size > 1 << 16
    assert len(open_records(tmp_path / "a.json").names) == 60


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(LgadError, match="cannot read the file"):
        open_records(tmp_path / "a.json")


def test_cvat_of_a_windows_editor(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(cvat("a.jpg").replace("2,20", "2,20;"), encoding="utf-8")
    assert CvatRecords(path).record(0).lanes == [[[1, 59], [2, 20]]]
    path.write_text(cvat("a.jpg"), encoding="utf-16")
    with pytest.raises(LgadError, match="UTF-16: save it as UTF-8"):
        CvatRecords(path)


def test_labels_that_cvats_file_does_not_have_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        """<annotations><meta><task><labels><label><name>R&amp;D</name></label></labels></task></meta>
        <image id="0" name="a.jpg" width="9" height="9"><polyline label="R&amp;D" points="1,2;3,4"/></image>
        </annotations>"""
    )
    assert CvatRecords(path, ["R&D"]).record(0).lanes
    with pytest.raises(LgadError, match=r"none of its labels \(R&D\) is in categories=\['lane'\]"):
        CvatRecords(path, ["lane"])


def test_names_of_categories_that_coco_does_not_have_are_refused(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 7, "segmentation": [[1, 2, 3, 40]]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert CocoRecords(tmp_path / "a.json", ["7"]).record(0).lanes
    with pytest.raises(LgadError, match="its categories have no names"):
        CocoRecords(tmp_path / "a.json", ["lane"])


@pytest.mark.parametrize("turn", range(4))
def test_four_corners_of_a_lane_are_no_line(turn: int) -> None:
    corners = [[400.0, 700.0], [416.0, 694.0], [603.0, 352.0], [596.0, 350.0]]
    assert not is_open(corners[turn:] + corners[:turn])
    assert is_open([[400.0, 700.0], [450.0, 600.0], [520.0, 470.0], [596.0, 350.0]])


@pytest.mark.parametrize(
    ("parts", "lanes"),
    [
        ([[5, 20, 9, 5], [1, 59, 4, 30]], [[[1, 59], [4, 30], [5, 20], [9, 5]]]),  # a car hides the middle of a lane
        ([[9, 5, 5, 20], [4, 30, 1, 59]], [[[1, 59], [4, 30], [5, 20], [9, 5]]]),
        ([[1, 59, 4, 20], [60, 59, 50, 20]], [[[1, 59], [4, 20]], [[60, 59], [50, 20]]]),  # beside one another
    ],
)
def test_parts_of_one_annotation_above_one_another_are_one_lane(
    parts: list[list[float]], lanes: list[Any], tmp_path: Path
) -> None:
    content = json.loads(coco("a.png"))
    content["annotations"] = [content["annotations"][0] | {"segmentation": parts}]
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert open_records(tmp_path / "train.json", 4, None).record(0).lanes == lanes
