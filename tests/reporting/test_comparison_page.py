import math
from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.arms import group_runs
from lgad_lightning.reporting.comparing import compare_arms
from lgad_lightning.reporting.comparison_page import comparison_page
from lgad_lightning.reporting.run import read_run
from tests.helpers.html import Page
from tests.reporting.conftest import Make

pytest.importorskip("plotly", reason="needs the extra report")

SCORES = {"none": (0.5, 0.6, 0.7), "lgad": (0.61, 0.7, 0.81)}


@pytest.fixture
def folders(make: Make) -> list[Path]:
    return [
        make(f"{name}{seed}", score, seed=seed, distillation=name, curve={9: score / 2, 19: score})
        for name, row in SCORES.items()
        for seed, score in enumerate(row)
    ]


def page_of(folders: list[Path]) -> Page:
    arms = group_runs([read_run(folder) for folder in folders])
    return Page(comparison_page(compare_arms(arms, "f1")))


def test_the_table_holds_what_is_compared(folders: list[Path], make: Make) -> None:
    page = page_of([*folders, make("stopped", None, seed=9)])
    header, none, lgad = page.tables["comparison"]
    rows = [dict(zip(header, row, strict=True)) for row in (none, lgad)]
    assert rows[0]["mean"] == "0.6000"
    assert rows[0]["difference"] == ""
    assert rows[1]["seeds"] == "3 of 4"
    assert rows[1]["difference"] == "+0.1067 *"
    assert rows[1]["its interval"] == "+0.0923 to +0.1210"
    assert "stopped: interrupted, or still at work" in page.text
    assert "F1 is higher than that of distillation=none, by 0.1067 (3 seeds)" in page.text
    assert page.tables["by-scenario"][1] == ["normal", "0.6000", "+0.1067"]
    assert len(page.tables["runs-table"]) == 1 + 6


def test_nothing_is_called_better_whose_interval_holds_zero(make: Make) -> None:
    scores = {"none": (0.5, 0.6, 0.7), "lgad": (0.9, 0.61, 0.69)}
    page = page_of([make(f"{n}{s}", v, seed=s, distillation=n) for n, row in scores.items() for s, v in enumerate(row)])
    assert "No difference to distillation=none is established" in page.text
    assert "higher" not in page.text
    assert "*" not in page.tables["comparison"][2][5]


def test_bands_reach_from_the_lowest_to_the_highest(folders: list[Path]) -> None:
    series = page_of(folders).chart("Validation F1")["series"][1]
    assert (series["name"], series["x"]) == ("distillation=lgad", [9, 19])
    assert series["y"] == [pytest.approx(2.12 / 6), pytest.approx(2.12 / 3)]
    assert (series["low"], series["high"]) == ([0.305, 0.61], [0.405, 0.81])


def test_where_a_seed_has_no_finite_value_there_is_no_mean(folders: list[Path]) -> None:
    log = folders[4] / "student" / "version_0" / "metrics.csv"
    log.write_text(f"step,val/f1\n9,0.3\n19,{math.nan}\n29,0.9\n")
    chart = page_of(folders).chart("Validation F1")
    assert chart["series"][1]["x"] == [9, 19]  # step 29 is one seed's alone
    assert chart["series"][1]["y"][1] is None
    assert chart["series"][1]["low"][1] is None
    assert chart["gaps"] == [[19, 19]]


def test_runs_on_other_data_are_refused(folders: list[Path], make: Make) -> None:
    with pytest.raises(LgadError, match="cannot be compared"):
        page_of([*folders, make("other", 0.5, seed=8, root="/data/others")])


def test_names_of_arms_are_no_html(make: Make) -> None:
    names = "<script>alert(1)</script>", "none"
    page = page_of([make(f"{number}", 0.5, distillation=name) for number, name in enumerate(names)])
    assert "distillation=<script>alert(1)</script>" in page.tables["comparison"][1][0]
    assert [tag for tag, _ in page.elements].count("script") == 3
