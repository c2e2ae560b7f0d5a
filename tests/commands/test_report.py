import csv
import json
import subprocess
import sys
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
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    files = {"--csv": tmp_path / "table.csv", "--json": tmp_path / "table.json"}
    main([*runs, "--table", *(str(word) for pair in files.items() for word in pair)])
    printed = capsys.readouterr().out
    for text in ("distillation=lgad", "0.707 (0.100)", "[0.458, 0.955]", "+0.107 *", "[+0.092, +0.121]"):
        assert text in printed
    assert "stopped: interrupted" in printed
    rows = list(csv.DictReader(files["--csv"].open()))
    assert float(rows[1]["difference"]) == pytest.approx(0.32 / 3)
    content = json.loads(files["--json"].read_text())
    assert content["baseline"] == "distillation=none"
    assert content["arms"][1]["runs"]["2"]["f1"] == 0.81
    assert content["arms"][0]["difference"] is None
    main([*runs, "--table", "--csv", str(files["--csv"])])  # its own file is replaced


def test_a_narrow_terminal_shows_the_whole_name_of_an_arm(
    runs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main([*runs, "--table"])
    printed = capsys.readouterr().out
    cells = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]
    assert "distillation=lgad" in "".join(cells)


@pytest.mark.parametrize("figure", ["iou", "existence_accuracy", "tp"])
def test_arms_can_be_told_apart_whatever_is_compared(
    figure: str, make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, scores in {"none": (33000.0, 35000.0), "lgad": (33500.0, 34500.0)}.items():
        for seed, score in enumerate(scores):
            path = make(f"{name}{seed}", 0.5, seed=seed, distillation=name) / "metrics.json"
            content = json.loads(path.read_text())
            content["total"] = {"f1": 0.5, figure: score if figure == "tp" else score / 1e5}
            content["pixels"] = {}
            path.write_text(json.dumps(content))
    main(
        [str(path.parent) for path in sorted(make("x", None).parent.rglob("metrics.json"))]
        + ["--table", "--figure", figure]
    )
    printed = capsys.readouterr().out
    assert figure in printed
    assert "…" not in printed
    starts = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]
    assert any(start.startswith("distillation=") for start in starts)


def test_the_number_of_pairs_is_told(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(f"none{seed}", 0.5 + seed / 100, seed=seed, distillation="none") for seed in (1, 2, 3)]
    runs += [make(f"lgad{seed}", 0.6 + seed / 90, seed=seed, distillation="lgad") for seed in (2, 3, 4)]
    main([*map(str, runs), "--table", "--csv", str(tmp_path / "table.csv")])
    assert "(2 pairs)" in capsys.readouterr().out
    assert [row["pairs"] for row in csv.DictReader((tmp_path / "table.csv").open())] == ["", "2"]


def test_what_is_not_defined_is_left_out_and_said(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"none": (0.5, float("nan"), 0.7), "lgad": (0.6, 0.7, -1.0)}
    folders = [
        str(make(f"{name}{seed}", score, seed=seed, distillation=name))
        for name, row in scores.items()
        for seed, score in enumerate(row)
    ]
    main([*folders, "--table", "--json", str(tmp_path / "table.json")])
    printed = capsys.readouterr().out
    assert printed.count("2 of 3") == 2
    assert "none1: f1 is not defined there" in printed
    assert "lgad2: f1 is not defined there" in printed
    first, second = json.loads((tmp_path / "table.json").read_text())["arms"]
    assert (first["mean"], second["mean"]) == pytest.approx((0.6, 0.65))
    assert second["difference"] == pytest.approx(0.1)  # over the one seed that both have
    assert second["runs"]["2"]["f1"] is None


@pytest.mark.parametrize("option", ["--csv", "--out"])
def test_a_file_of_the_users_is_not_replaced(runs: list[str], tmp_path: Path, option: str) -> None:
    pytest.importorskip("plotly", reason="needs the extra report")
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(SystemExit, match=r"lgad-report: .*notes is there already"):
        main([*runs, option, str(tmp_path / "notes")])
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_page_is_written_and_replaces_itself_alone(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="needs the extra report")
    out = tmp_path / "pages" / "report.html"
    main([str(make("run", 0.5)), "--out", str(out)])
    first = out.read_text()
    main([str(make("other", 0.75)), "--out", str(out)])
    assert "0.5000" in first
    assert "0.7500" in out.read_text()


def test_a_page_is_made_without_torch(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="needs the extra report")
    code = "import sys; from lgad_lightning.commands.report import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, str(make("run", 0.5)), "--out", str(tmp_path / "report.html")]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "plotly" in modules
    assert not {"torch", "lightning", "hydra"} & set(modules)


def test_without_the_extra_the_message_names_it(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgad_lightning.reporting.page._NEEDED", ("no_such_package",))
    with pytest.raises(SystemExit, match=r"no_such_package.*lgad-lightning\[report\]"):
        main([runs[0], "--out", str(tmp_path / "report.html")])
    main([*runs, "--table"])
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_sweep_is_compared(tmp_path: Path, tiny_root: Path) -> None:
    tiny = [word for word in TINY if not word.startswith("trainer.max")]
    sweep = ("seed=1,2", "distillation=none,label_attention", "hydra.sweep.dir=sweep", "trainer.max_epochs=1")
    run("lgad-fit", "-m", *tiny, f"data.root={tiny_root}", *sweep, folder=tmp_path)
    told = run("lgad-report", "sweep", "--table", "--figure", "iou", "--json", "out.json", folder=tmp_path).stdout
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
        main(["--table", *words, *runs])


def test_one_file_for_two_outputs_is_refused(runs: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="both the file"):
        main(["--table", "--csv", str(tmp_path / "x"), "--json", str(tmp_path / "x"), *runs])
    assert not (tmp_path / "x").exists()
