import logging
from pathlib import Path

import pytest

from lgad_lightning.commands import tested
from lgad_lightning.commands.run_page import leave_page
from lgad_lightning.data import CULaneDataModule, LaneDataModule
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.metrics import CULaneF1
from tests.reporting.conftest import Make, make

__all__ = ["make"]

pytest.importorskip("plotly", reason="needs the extra report")


@pytest.fixture
def data(tmp_path: Path) -> LaneDataModule:
    return CULaneDataModule(tmp_path / "nowhere")


def test_a_page_is_left(make: Make, data: LaneDataModule) -> None:
    folder = make("run", 0.5)
    leave_page(folder, data)
    leave_page(folder, data)  # over its own
    assert "nowhere" in (folder / "report.html").read_text()


def test_a_file_of_the_users_is_kept(make: Make, data: LaneDataModule, caplog: pytest.LogCaptureFixture) -> None:
    folder = make("run", 0.5)
    (folder / "report.html").write_text("mine")
    with caplog.at_level(logging.WARNING):
        leave_page(folder, data)
    assert (folder / "report.html").read_text() == "mine"
    assert "is there already" in caplog.text


def test_a_run_does_not_fail_for_its_page(
    make: Make, data: LaneDataModule, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> bytes:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("lgad_lightning.commands.run_page.run_page", fail)
    folder = make("run", 0.5)
    with caplog.at_level(logging.WARNING):
        leave_page(folder, data)
    assert "not written: ZeroDivisionError: by zero" in caplog.text
    assert not (folder / "report.html").exists()


def test_lanes_are_judged_by_the_metric_of_the_test(tmp_path: Path) -> None:
    data = CULaneDataModule(generate(SyntheticData(1, 1, 9, (60, 164)), tmp_path / "roads", workers=0))
    for metric, threshold in ((None, 0.5), (CULaneF1(threshold=0.1), 0.1)):
        found = tested.tested(data, metric)
        assert not isinstance(found, str)
        assert found.rule.threshold == threshold
