import json
from pathlib import Path
from typing import Any

import pytest

from lgad_lightning.reporting import tested
from lgad_lightning.reporting.judging import culane_rule, judge_frames, tusimple_rule
from lgad_lightning.reporting.run import read_run
from lgad_lightning.reporting.run_page import run_page
from lgad_lightning.reporting.tested import read_tested, write_tested
from tests.helpers.html import Page
from tests.helpers.roads import Roads, make_roads, predict
from tests.reporting.conftest import Make


@pytest.fixture
def roads(tmp_path: Path) -> Roads:
    return make_roads(tmp_path / "roads")


def kept(folder: Path, roads: Roads, total: int = 8) -> Path:
    path = folder / "tested.json"
    write_tested(path, tested.Tested(roads, culane_rule(width=40), total))
    return path


def test_kept_frames_are_judged_as_those_of_the_data(roads: Roads, tmp_path: Path) -> None:
    predictions = predict(roads, tmp_path / "predictions", shift=100)
    found = read_tested(kept(tmp_path, roads))
    assert isinstance(found, tested.Tested)
    assert found.rule.text == culane_rule(width=40).text
    ours, theirs = judge_frames(found.source, predictions, found.rule), judge_frames(roads, predictions, culane_rule())
    assert [(one.name, one.size, one.found, one.right) for one in ours] == [
        (one.name, one.size, one.found, one.right) for one in theirs
    ]
    assert {found.source.scenario(index) for index in range(8)} == {"night"}


def test_the_rule_of_tusimple_is_kept(roads: Roads, tmp_path: Path) -> None:
    write_tested(tmp_path / "tested.json", tested.Tested(roads, tusimple_rule(), 8))
    found = read_tested(tmp_path / "tested.json")
    assert isinstance(found, tested.Tested)
    assert not found.rule.of_iou


def test_a_page_needs_the_images_for_its_pictures_alone(make: Make, roads: Roads) -> None:
    pytest.importorskip("plotly", reason="needs the extra report")
    folder = make("run", 0.5)
    predict(roads, folder / "predictions", shift=100)
    path = kept(folder, roads, total=800)
    page = Page(run_page(read_run(folder), read_tested(path)))
    assert [tag for tag, _ in page.elements].count("polyline") > 0
    assert "8 of 800, evenly spread, test frames" in page.text
    for name in roads.names:
        (roads.root / name).unlink()
    page = Page(run_page(read_run(folder), read_tested(path)))
    assert [tag for tag, _ in page.elements].count("polyline") == 0
    assert "No pictures: " in page.text
    assert len(page.lines("F1 by IoU threshold")["F1"]) == 10


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda content: content.pop("frames"),
        lambda content: content.update(frames=3),
        lambda content: content["frames"][1].update(lanes=[["x"]]),
        lambda content: content["frames"][1].update(size=[]),
        lambda content: content["frames"][1].update(name="../../secret.jpg\0"),
        lambda content: content["rule"].update(unknown=1),
    ],
)
def test_a_damaged_file_is_told(roads: Roads, tmp_path: Path, change: Any) -> None:
    path = kept(tmp_path, roads)
    content = json.loads(path.read_text())
    if change is not None:
        change(content)
    path.write_text("{" if change is None else json.dumps(content))
    told = read_tested(path)
    assert isinstance(told, str)
    assert "tested.json" in told


def test_a_run_that_has_kept_none_is_told(tmp_path: Path) -> None:
    assert "there is no" in str(read_tested(tmp_path / "tested.json"))
