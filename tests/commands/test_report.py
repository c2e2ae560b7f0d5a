import csv
import json
from pathlib import Path

import pytest

from lgad_lightning.commands.report import main
from tests.helpers.commands import TINY, run
from tests.reporting.conftest import Make, make

__all__ = ["make"]


@pytest.fixture
def runs(make: Make) -> list[str]:
    scores = {"none": (0.5, 0.6, 0.7), "lgad": (0.61, 0.7, 0.81)}
    folders = [
        make(f"{name}{seed}", score, seed=seed, distillation=name, curve={9: score})
        for name, row in scores.items()
        for seed, score in enumerate(row)
    ]
    return [str(folder) for folder in [*folders, make("stopped", None, seed=7)]]


def test_a_comparison_is_printed_and_written(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"--csv": tmp_path / "table.csv", "--json": tmp_path / "table.json"}
    main([*runs, *(str(word) for pair in files.items() for word in pair)])
    printed = capsys.readouterr().out
    assert "+0.107 * [+0.092, +0.121]" in printed
    assert "stopped: interrupted" in printed
    rows = list(csv.DictReader(files["--csv"].open()))
    assert float(rows[1]["difference"]) == pytest.approx(0.32 / 3)
    content = json.loads(files["--json"].read_text())
    assert content["baseline"] == "distillation=none"
    assert content["arms"][1]["runs"]["2"]["f1"] == 0.81
    assert content["arms"][0]["difference"] is None
    main([*runs, "--csv", str(files["--csv"])])  # its own file is replaced


def test_a_file_of_the_users_is_not_replaced(runs: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(SystemExit, match=r"lgad-report: .*notes\.csv is there already"):
        main([*runs, "--csv", str(tmp_path / "notes.csv")])


@pytest.mark.slow
def test_a_sweep_is_compared(tmp_path: Path, tiny_root: Path) -> None:
    tiny = [word for word in TINY if not word.startswith("trainer.max")]
    sweep = ("seed=1,2", "distillation=none,label_attention", "hydra.sweep.dir=sweep", "trainer.max_epochs=1")
    run("lgad-fit", "-m", *tiny, f"data.root={tiny_root}", *sweep, folder=tmp_path)
    told = run("lgad-report", "sweep", "--figure", "iou", "--json", "out.json", folder=tmp_path).stdout
    assert "distillation=label_attention" in told
    arms = json.loads((tmp_path / "out.json").read_text())["arms"]
    assert [(arm["arm"], arm["seeds"]) for arm in arms] == [
        ("distillation=none", 2),
        ("distillation=label_attention", 2),
    ]


@pytest.mark.parametrize(
    "words", [["/nowhere"], ["--figure", "nope"], ["--baseline", "nope"], ["--csv", "/proc/x/y.csv"]]
)
def test_mistakes_end_in_one_line(runs: list[str], words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"^lgad-report: [^\n]*$"):
        main([*runs, *words])
