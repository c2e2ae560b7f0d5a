import json
import math
from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.run import find_runs, read_curves, read_run
from tests.reporting.conftest import Make


def test_a_run_is_read(make: Make) -> None:
    run = read_run(make("run", 0.75, seed=3))
    assert (run.state, run.seed, run.config["distillation._target_"]) == ("", 3, "lgad")
    assert run.figures["f1"] == run.figures["normal/f1"] == 0.75
    assert run.figures["iou"] == 0.375
    assert run.overrides[0] == "distillation=lgad"


def test_runs_without_figures_say_why(make: Make) -> None:
    failed = make("failed", None)
    (failed / "failed.json").write_text(json.dumps({"overrides": [], "error": "no data"}))
    early = make("early", None)
    (early / "failed.json").write_text(json.dumps({"overrides": ["a=1"], "error": "a"}))
    empty = make("empty", None)
    for file in [*(empty / ".hydra").iterdir(), *(early / ".hydra").iterdir()]:
        file.unlink()
    states = [
        read_run(folder).state for folder in (make("stopped", None), failed, empty, make("t", 0.5, stage="teacher"))
    ]
    assert states == ["interrupted, or still at work", "failed: no data", "ended before it began", "a teacher's run"]


def test_folders_of_sweeps_hold_runs_in_their_order(make: Make, tmp_path: Path) -> None:
    for number in (10, 2, 1):
        make(f"sweep/{number}", 0.5, seed=number)
    alone = make("alone", 0.5)
    found = find_runs([tmp_path / "sweep", alone, alone])
    assert [run.seed for run in found] == [1, 2, 10, 1]


@pytest.mark.parametrize("name", ["nothing", ""])
def test_what_is_no_run_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(LgadError, match="folder"):
        find_runs([tmp_path / name])


@pytest.mark.parametrize("content", ["{", '{"total": 1}', "[]", '{"scenarios": {}}'])
def test_damaged_figures_are_told_with_their_file(make: Make, content: str) -> None:
    folder = make("run", 0.5)
    (folder / "metrics.json").write_text(content)
    with pytest.raises(LgadError, match=r"metrics\.json"):
        read_run(folder)


def test_curves_of_a_log_that_was_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,step,val/f1,train/loss\n0,74,0.5,\n0,99,,nan\n1,149,0.6,abc\n1,199,0.7")
    curves = read_curves(log)
    assert curves["val/f1"] == [(74, 0.5), (149, 0.6)]
    assert math.isnan(curves["train/loss"][0][1])
    assert read_curves(tmp_path / "missing.csv") == {}


@pytest.mark.parametrize("content", [b"", b"epoch", b"\xff\xfe\0", b"a,b\n1,2\n", b"step\nx\n"])
def test_a_log_of_nothing_gives_no_curves(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    assert read_curves(tmp_path / "metrics.csv") == {}


def test_a_log_that_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(f"step,a\n0,{'1' * 200_000}\n")
    with pytest.raises(LgadError, match=r"metrics\.csv is damaged: field larger"):
        read_curves(tmp_path / "metrics.csv")


@pytest.mark.parametrize("content", ["[1]", '{"reason": "x"}', '"x"'])
def test_a_damaged_failure_is_told_with_its_file(make: Make, content: str) -> None:
    folder = make("run", None)
    (folder / "failed.json").write_text(content)
    with pytest.raises(LgadError, match=r"failed\.json is damaged"):
        read_run(folder)


def test_runs_behind_links_are_found_once(make: Make, tmp_path: Path) -> None:
    make("runs/1", 0.5, seed=1)
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "first").symlink_to(tmp_path / "runs" / "1")
    (tmp_path / "chosen" / "again").symlink_to(tmp_path / "runs")
    assert [run.seed for run in find_runs([tmp_path / "chosen"])] == [1]


def test_a_configuration_without_a_seed_is_told(make: Make) -> None:
    folder = make("run", 0.5)
    (folder / ".hydra" / "config.yaml").write_text("data: {root: roads}\n")
    with pytest.raises(LgadError, match=r"config\.yaml is damaged"):
        read_run(folder)


def test_values_of_the_environment_are_those_that_were_used(make: Make) -> None:
    folder = make("run", 0.5, rate="${oc.env:RATE}", width="${distillation.width}")
    (folder / "config.yaml").write_text("rate: 0.3\nwidth: 7\n")
    config = read_run(folder).config
    assert (config["rate"], config["width"]) == (0.3, "${distillation.width}")
