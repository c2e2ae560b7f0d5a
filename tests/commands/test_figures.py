import pytest
from rich.console import Console

from lgad_lightning.commands.figures import main_figure, print_results, results_table

RESULTS = {
    "total": {"tp": 3, "fp": 2, "precision": 0.6, "f1": 0.66667},
    "scenarios": {
        "normal": {"tp": 3, "fp": 0, "precision": 1.0, "f1": 1.0},
        "cross": {"tp": 0, "fp": 2, "precision": 0.0, "f1": -1.0},
    },
}


def test_the_table_has_a_row_for_each_scenario_and_the_total_last() -> None:
    console = Console(width=100, record=True)
    console.print(results_table(RESULTS))
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines() if "│" in line]
    assert rows == [
        ["normal", "3", "0", "1.0000", "1.0000"],
        ["cross", "0", "2", "0.0000", "-"],
        ["total", "3", "2", "0.6000", "0.6667"],
    ]


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a [night]", "[/d", ":car:"]
    print_results({"total": {"tp": 1}, "scenarios": {name: {"tp": 1} for name in names}})
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"tp": 1, "f1": 0.5, "iou": 0.4}, 0.5),
        ({"accuracy": 0.7, "fp": 0.1}, 0.7),
        ({"right": 3, "wrong": 1}, 3.0),
        ({"right": 3, "iou": 0.4}, 3.0),
        ({"iou": 0.4}, 0.4),
    ],
)
def test_one_figure_stands_for_a_test_also_of_an_own_metric(figures: dict[str, float], expected: float) -> None:
    assert main_figure(figures) == expected
