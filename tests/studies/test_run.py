"""The studies' own command: each run once, figures kept, tables from the figures."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lgad_lightning.errors import LgadError
from studies import run, study, tables
from tests.conftest import CHECKOUT
from tests.helpers.commands import TINY, environment

ARMS = {"none": ["distillation=none"], "control": ["distillation=label_attention"]}


def write(folder: Path, **content: object) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({"arms": ARMS, "seeds": [1, 2], "compare_with": ["none"], **content}))
    return path


@pytest.mark.slow
def test_a_study_runs_each_training_once(
    tmp_path: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("os.environ", environment(tmp_path))
    tiny = [word for word in TINY if not word.startswith(("data.num_workers", "trainer.max"))]
    base = [*tiny, f"data.root={tiny_root}", "trainer.max_epochs=1", "distillation=none"]
    small = study.read_study(write(tmp_path, base=base, arms={"none": []}, seeds=[1]))
    run.run_study(small, small.jobs, 1, tmp_path / "runs")
    kept = small.results.read_text()
    assert len(study.read_rows(small.results)) == 1
    run.run_study(small, small.jobs, 1, tmp_path / "runs")
    assert small.results.read_text() == kept
    assert "1 runs, 0 of them to do" in capsys.readouterr().out
    assert any("none (1 seed)" in line for line in tables.condition_lines(small, "all"))


def test_a_run_takes_the_place_of_the_same_with_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    small = study.read_study(write(tmp_path, seeds=[1], arms={"none": []}, compare_with=[]))
    (job,) = small.jobs
    old = {"condition": "all", "arm": "none", "seed": 1}
    study.write_rows(small.curves, [{**old, "step": 5, "f1": 0.9}, {**old, "seed": 2, "step": 5, "f1": 0.1}])
    study.write_rows(small.results, [{**old, "overrides": "of another configuration", "f1": 0.9}])
    folder = tmp_path / "runs" / job.name
    (folder / "student" / "version_0").mkdir(parents=True)
    (folder / "student" / "version_0" / "metrics.csv").write_text("epoch,step,val/f1\n0,4,0.5\n")
    (folder / "metrics.json").write_text('{"total": {"f1": 0.6}, "data": {"identity": "x"}}')
    monkeypatch.setattr("studies.run.subprocess.run", lambda *_, **__: subprocess.CompletedProcess("", 0, "", ""))
    run.run_job(small, job, folder)
    assert [(row["seed"], row["f1"]) for row in study.read_rows(small.curves)] == [("2", "0.1"), ("1", "0.5")]
    assert [row["f1"] for row in study.read_rows(small.results)] == ["0.6"]


def test_tables_show_differences_seed_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    small = study.read_study(write(tmp_path, seeds=[1, 2, 3]))
    none, control = {1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.6, 2: 0.702, 3: 0.801}
    scores = {("none", seed): f1 for seed, f1 in none.items()} | {("control", seed): f1 for seed, f1 in control.items()}
    rows = [
        {
            "condition": "all",
            "arm": job.arm,
            "seed": job.seed,
            "overrides": " ".join(job.overrides),
            "f1": f1,
            "iou": f1 / 2,
        }
        for job in small.jobs
        for f1 in [scores[job.arm, job.seed]]
    ]
    study.write_rows(small.results, [*rows, {**rows[0], "overrides": "of another configuration", "f1": 0.99}])
    study.write_rows(
        small.curves,
        [
            {
                "condition": "all",
                "arm": arm,
                "seed": seed,
                "step": step,
                "f1": step / 10 * (2 if arm == "control" else 1) + seed * step / 1000 * (arm == "control"),
            }
            for arm, seed in scores
            for step in (1, 2, 3)
        ],
    )
    text = "\n".join(tables.condition_lines(small, "all"))
    assert "| none (3 seeds) | 0.600 (0.100) |  |" in text
    assert "| control (3 seeds) | 0.701 (0.101) | **+0.101** [+0.099, +0.103], 0.250 |" in text
    assert "| control (3 seeds) | 0.606 (0.003) | **+0.306** [+0.299, +0.313], 0.250 |" in text  # best validation
    assert "| control (3 seeds) | 0.202 (0.001) | **+0.102** [+0.100, +0.104], 0.250 |" in text  # after a third
    assert "| control | 2 | 0 of 3 |" in text
    assert "6 runs: correlation of their ranks 1.000" in text
    study.write_rows(small.results, [row | {"overrides": "of another configuration"} for row in rows])
    assert tables.figures_of(small, "all", "best") == {}


def test_a_table_puts_the_pairs_of_conditions_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    small = study.read_study(write(tmp_path, conditions={"one": ["a=1"], "two": ["a=2"]}))
    f1 = {("one", "none"): 0.5, ("one", "control"): 0.6, ("two", "none"): 0.2, ("two", "control"): 0.4}
    rows = [
        {"condition": job.condition, "arm": job.arm, "seed": job.seed, "overrides": " ".join(job.overrides)}
        | {"f1": f1[job.condition, job.arm]}
        for job in small.jobs
    ]
    study.write_rows(small.results, rows)
    lines = tables.table(small, "one+two", ["f1"], ["control"], ["none"])
    assert lines[-1] == "| control (4 runs) | 0.500 (0.115) | **+0.150** [+0.058, +0.242], 0.125 |"


@pytest.mark.parametrize(
    "content", [{"compare_with": ["nothing"]}, {"nonsense": 1}, {"arms": None, "seeds": None, "x": 1}]
)
def test_a_study_with_mistakes_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    with pytest.raises(LgadError, match=r"small\.yaml"):
        study.read_study(write(tmp_path, **content))


def test_a_missing_study_ends_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "studies.tables", str(tmp_path / "none.yaml")],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("studies: The study")


@pytest.mark.parametrize("path", sorted((CHECKOUT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_studies_can_be_read(path: Path) -> None:
    assert study.read_study(path).jobs
