"""CurveLanes, LLAMAS, OpenLane and BDD100K, on files written after their descriptions and on the real ones at hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lgad_lightning.annotations.llamas import read_llamas
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.curation.pack import pack
from lgad_lightning.data import (
    BDD100KDataModule,
    CurveLanesDataModule,
    LaneDataModule,
    LLAMASDataModule,
    OpenLaneDataModule,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame
from lgad_lightning.reporting import tested
from lgad_lightning.reporting.judging import culane_rule, target_lanes
from tests.helpers.layouts import LEFT, LLAMAS_LANES, bdd100k, curvelanes, image, llamas, openlane, write

SETS: dict[str, tuple[Callable[[Path], object], type[LaneDataModule], set[int], int]] = {
    "curvelanes": (curvelanes, CurveLanesDataModule, {0, 5, 6}, 2),
    "llamas": (llamas, LLAMASDataModule, {0, 2, 3, 4}, 3),
    "openlane": (openlane, OpenLaneDataModule, {0, 2, 3}, 2),
    "bdd100k": (bdd100k, BDD100KDataModule, {0, 1}, 1),
}


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_in_its_layout_is_recognised_checked_and_read(name: str, tmp_path: Path) -> None:
    make, kind, classes, lanes = SETS[name]
    make(tmp_path)
    data = open_data(tmp_path, input_size=(36, 96), batch_size=1, num_workers=0)
    assert type(data) is kind
    result = check_data(open_data(tmp_path), workers=0)  # at the usual size of the input
    assert (result["ok"], set(result["findings"]) - {"count", "unused", "size"}) == (True, set()), result["findings"]
    data.prepare_data()
    data.setup()
    (batch,) = data.test_dataloader()
    size = batch["frame"][0][:2]
    source = data.open("train")
    full = source.image(0).shape[:2]
    assert set(np.unique(source.label(0, Frame(*full), full))) == classes
    assert len(data.open("test").lanes(0, size)) == lanes
    metric = data.protocol.metric()
    if metric.of_pixels:
        metric.update(batch["label"], batch["label"], batch["evaluation"]["images"])
    else:
        metric.update(batch["evaluation"]["target"], **batch["evaluation"])
    assert metric.results()["total"]["f1"] == 1
    assert data.protocol.decoder()(batch["label"].new_zeros(1, data.num_classes, 36, 96).float(), None, batch["frame"])


def test_other_cases_of_the_folders_of_curvelanes(tmp_path: Path) -> None:
    curvelanes(tmp_path)
    for part in ("train", "valid"):
        for name in ("images", "labels"):
            (tmp_path / part / name).rename(tmp_path / part / name.capitalize())
    data = open_data(tmp_path)
    assert type(data) is CurveLanesDataModule
    assert data.open("train").lanes(0, (590, 1640))[0].points.tolist() == LEFT


def test_lanes_of_llamas_are_reduced_as_its_own_tools_do(tmp_path: Path) -> None:
    write(tmp_path / "1.json", {"lanes": LLAMAS_LANES})
    found = read_llamas(tmp_path / "1.json")
    assert set(found) == {"l0", "r0", "r1"}  # names are closed up, the small lane is left out
    for lane in LLAMAS_LANES[:3]:
        name = {"r2": "r1"}.get(str(lane["lane_id"]), lane["lane_id"])
        expected = by_rows(lane["markers"])
        columns = {int(y): x for x, y in found[str(name)]}
        assert columns == pytest.approx({y: x for y, x in expected.items() if x >= 0})


def by_rows(markers: Any) -> dict[int, float]:
    """The rule again, written down row by row."""
    pieces = [tuple(int(part[axis]) for part in (m["pixel_start"], m["pixel_end"]) for axis in "xy") for m in markers]
    x, y, end_x, end_y = pieces[int(np.argmin([float(m["world_start"]["z"]) for m in markers]))]
    lean = (end_x - x) / (end_y - y)
    bottom = (x + (716 - y) * lean, 716.0)
    if bottom[0] < 0:
        bottom = (0, y - x / lean)
    elif bottom[0] > 1276:
        bottom = (1276, y + (1276 - x) / lean)
    pieces.insert(0, (round(bottom[0]), round(bottom[1]), x, y))
    rows: list[list[int]] = [[] for _ in range(717)]
    for x, y, end_x, end_y in pieces:
        rows[y].append(x)
        if y - end_y > 2:
            for step in range(y - end_y + 1):
                rows[y - step].append(round(x + (end_x - x) * step / (y - end_y)))
    known = [row for row in range(717) if rows[row]]
    result: dict[int, float] = {}
    for row in range(known[0], known[-1] + 1):
        above = max(one for one in known if one <= row)
        below = min(one for one in known if one >= row)
        mean = [sum(rows[one]) / len(rows[one]) for one in (above, below)]
        share = 0 if below == above else (row - above) / (below - above)
        result[row] = mean[0] + share * (mean[1] - mean[0])
    return result


def test_the_evaluation_of_llamas_begins_at_row_300(tmp_path: Path) -> None:
    llamas(tmp_path)
    source = LLAMASDataModule(tmp_path).open("val")
    given = source.evaluation(0, (717, 1276))["target"]
    assert min(lane.points[:, 1].min() for lane in given) >= 300


def test_kerbs_of_openlane_may_be_chosen(tmp_path: Path) -> None:
    openlane(tmp_path)
    assert len(OpenLaneDataModule(tmp_path, kerbs=True).open("train").lanes(0, (1280, 1920))) == 3
    binary = OpenLaneDataModule(tmp_path, num_slots=1)
    assert set(np.unique(binary.open("train").label(0, Frame(1280, 1920), (128, 192)))) == {0, 1}
    assert binary.protocol.name == "pixels"


@pytest.mark.parametrize("attribute", [None, 5, "2", True])
def test_lanes_of_openlane_without_places_are_refused_and_counted(attribute: object, tmp_path: Path) -> None:
    openlane(tmp_path)
    path = tmp_path / "lane3d_1000/training/segment-training/1.json"
    record = json.loads(path.read_text())
    record["lane_lines"][1]["attribute"] = attribute
    write(path, record)
    data = OpenLaneDataModule(tmp_path)
    with pytest.raises(LgadError, match=r"1\.json: lane 2 has no place: .*set num_slots=1"):
        data.open("train").label(0, Frame(1280, 1920), (128, 192))
    found = check_data(data, workers=0)["findings"]["lanes"]
    assert (found["count"], found["severity"]) == (1, "error")
    binary = OpenLaneDataModule(tmp_path, num_slots=1)
    assert binary.open("train").label(0, Frame(1280, 1920), (128, 192)).any()


def test_openlane_without_any_place_is_refused_before_a_training(tmp_path: Path) -> None:
    openlane(tmp_path)
    path = tmp_path / "lane3d_1000/validation/segment-validation/1.json"
    path.write_text(
        path.read_text().replace('"attribute": 2', '"attribute": 0').replace('"attribute": 3', '"attribute": 0')
    )
    data = OpenLaneDataModule(tmp_path)
    data.check(["train"])
    with pytest.raises(LgadError, match=r"None of the 2 lanes in 1 label files .*val.* has a place"):
        data.check(["train", "val"])
    OpenLaneDataModule(tmp_path, num_slots=1).check()
    path.write_text("{")  # told when it is used: on_error may be skip
    data.check(["train", "val"])
    openlane(tmp_path)
    path.write_text(
        path.read_text().replace('"attribute": 2', '"attribute": 0').replace('"attribute": 3', '"attribute": 0')
    )
    assert check_data(data, workers=0)["findings"]["unused"]["count"] == 2  # val and test are one


@pytest.mark.parametrize("labels", ["masks", "polygons"])
def test_both_kinds_of_labels_of_bdd100k_show_the_same(labels: str, tmp_path: Path) -> None:
    bdd100k(tmp_path)
    label = BDD100KDataModule(tmp_path, labels=labels).open("train").label(0, Frame(720, 1280), (720, 1280))
    assert (label[719, 300:302] == 1).all()
    assert not label[500, 5:300].any()  # a line across the road
    assert not label[600, 5:90].any()  # a kerb
    with_kerbs = BDD100KDataModule(tmp_path, labels=labels, categories=["road curb"]).open("train")
    assert with_kerbs.label(0, Frame(720, 1280), (720, 1280)).any()


def test_centres_of_bdd100k_lie_between_the_outlines(tmp_path: Path) -> None:
    bdd100k(tmp_path)
    data = BDD100KDataModule(tmp_path, labels="centres", test_stroke=2 / 1280)
    train, test = (data.open(split) for split in ("train", "test"))
    pair, alone = train.lanes(0, (720, 1280))  # the curve has no partner
    assert pair.points[[0, -1]].tolist() == [[306, 719], [602, 400]]
    outlines = BDD100KDataModule(tmp_path, labels="polygons").open("train").lanes(0, (720, 1280))
    assert alone.points.tolist() == outlines[2].points.tolist()
    thick, thin = (source.label(0, Frame(720, 1280), (720, 1280)) for source in (train, test))
    assert [np.flatnonzero(label[600, :700]).mean() for label in (thick, thin)] == pytest.approx([416.5, 416.5], abs=1)
    assert 2.5 < thick.sum() / thin.sum() < 5  # 8 and 2 px, as OpenCV draws them
    assert data.identity != BDD100KDataModule(tmp_path, labels="polygons", test_stroke=2 / 1280).identity


def test_real_openlane(shared_dir: Path, tmp_path: Path) -> None:
    real = shared_dir / "formats/openlane"
    for part in ("training", "validation"):
        for name, folder in (("images", "images"), ("annotations", "lane3d_1000")):
            shutil.copytree(real / name, tmp_path / folder / part)
    data = open_data(tmp_path)
    assert type(data) is OpenLaneDataModule
    assert check_data(data, workers=0)["ok"]
    assert [len(data.open("val").lanes(index, (1280, 1920))) for index in (0, 1)] == [3, 3]


def test_real_masks_of_bdd100k(shared_dir: Path, tmp_path: Path) -> None:
    for path in (shared_dir / "formats/bdd100k_lane_masks").glob("*.png"):
        for part in ("train", "val"):
            (tmp_path / f"labels/lane/masks/{part}").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / f"labels/lane/masks/{part}/{path.name}")
            image(tmp_path / f"images/100k/{part}/{path.stem}.jpg", 720, 1280)
    data = open_data(tmp_path)
    assert check_data(data, workers=0)["ok"]
    shares = [data.open("train").label(index, Frame(720, 1280), (720, 1280)).mean() for index in range(4)]
    assert 0 <= min(shares) <= max(shares) < 0.1
    assert max(shares) > 0.001


@pytest.mark.parametrize(
    ("labels", "gone", "message"),
    [
        ("masks", "labels/lane/masks/train", "There is no .*masks/train.*Expected is BDD100K's layout"),
        ("masks", "images/100k/train", "There is no .*images/100k/train"),
        ("polygons", "labels/lane/polygons/lane_train.json", r"There is no .*lane_train\.json"),
    ],
)
def test_what_is_missing_of_bdd100k_is_named(labels: str, gone: str, message: str, tmp_path: Path) -> None:
    bdd100k(tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(LgadError, match=message):
        BDD100KDataModule(tmp_path, labels=labels).open("train")


def test_images_without_polygons_are_told(tmp_path: Path) -> None:
    bdd100k(tmp_path)
    image(tmp_path / "images/100k/train/b.jpg", 720, 1280)
    with pytest.raises(LgadError, match=r"no labels for .*train/b\.jpg and 0 more"):
        BDD100KDataModule(tmp_path, labels="polygons").open("train")


def test_the_coloured_masks_of_bdd100k_are_refused(tmp_path: Path) -> None:
    bdd100k(tmp_path)
    image(tmp_path / "labels/lane/masks/train/a.png", 720, 1280)
    with pytest.raises(LgadError, match="not the colour maps"):
        BDD100KDataModule(tmp_path, labels="masks").open("train").lanes(0, (720, 1280))


def test_the_page_of_a_run_judges_the_lanes_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgad_lightning.data.llamas._TOP", 500)
    llamas(tmp_path)
    source = LLAMASDataModule(tmp_path).open("test")
    size = source.image_size(0)
    annotated, target = source.lanes(0, size), source.evaluation(0, size)["target"]
    assert sum(map(len, target)) < sum(map(len, annotated))
    tested.write_tested(tmp_path / "tested.json", tested.Tested(source, culane_rule(), len(source)))
    kept = tested.read_tested(tmp_path / "tested.json")
    assert isinstance(kept, tested.Tested)
    for lanes in (target_lanes(source, 0, size), kept.source.lanes(0, size)):
        assert [len(lane) for lane in lanes] == [len(lane) for lane in target]


@pytest.mark.zoo
def test_packing_keeps_the_lanes_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    monkeypatch.setattr("lgad_lightning.data.llamas._TOP", 500)
    llamas(tmp_path / "files")
    pack(LLAMASDataModule(tmp_path / "files"), tmp_path / "packed", workers=0)
    files, packed = (LLAMASDataModule(tmp_path / name).open("test") for name in ("files", "packed"))
    size = files.image_size(0)
    for given in ("lanes", "evaluation"):
        ours, theirs = getattr(files, given)(0, size), getattr(packed, given)(0, size)
        ours, theirs = (one["target"] if given == "evaluation" else one for one in (ours, theirs))
        assert [lane.points.tolist() for lane in ours] == [lane.points.tolist() for lane in theirs]
