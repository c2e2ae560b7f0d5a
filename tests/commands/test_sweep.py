"""Sweeps by the engines of the extra `sweep`, for real."""

import csv
import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException

from lgad_lightning.commands.command_line import explain
from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.commands.sweep import SweepTable
from tests.helpers.commands import TINY, run

SHORT = (*TINY, "trainer.max_epochs=1", "teacher.trainer.max_epochs=1", "hydra.sweep.dir=sweep")


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("launcher", "package"), [("processes", "joblib"), ("submitit_local", "submitit")])
def test_a_launcher_runs_a_job(launcher: str, package: str, tiny_root: Path, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{package}_launcher", reason="needs the extra sweep")
    arguments = (*SHORT, f"data.root={tiny_root}", "distillation=none", f"hydra/launcher={launcher}")
    run("lgad-fit", "-m", *arguments, folder=tmp_path, warm=False)  # a forked process hangs as joblib forks again
    (row,) = read_table(tmp_path / "sweep")
    figure = json.loads((tmp_path / "sweep" / "0" / "metrics.json").read_text())["total"]["f1"]
    assert row["f1"] == f"{figure:.4f}"


def test_a_search_ends_trials_that_fall_behind_and_goes_on(tiny_root: Path, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="needs the extra sweep")
    arguments = (*SHORT, f"data.root={tiny_root}", "distillation.weight=interval(0.1,1)", "hydra/sweeper=optuna")
    all_behind = (
        "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner", "+hydra.sweeper.pruner.lower=2",
        "~hydra.sweeper.pruner.n_startup_trials",
    )  # fmt: skip
    ended = run("lgad-fit", "-m", *arguments, *all_behind, "hydra.sweeper.trials=1", folder=tmp_path)
    (row,) = read_table(tmp_path / "sweep")
    assert row["failed"].startswith("pruned after step 4, at val/f1 0.")
    assert not (tmp_path / "sweep" / "0" / "metrics.json").exists(), ended.stdout

    run("lgad-fit", "-m", *arguments, "hydra.sweeper.pruner=null", "hydra.sweeper.trials=2", folder=tmp_path)
    study = optuna.load_study(study_name="lgad", storage=f"sqlite:///{tmp_path}/sweep/study.db")
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "COMPLETE"]
    first, second = read_table(tmp_path / "sweep")
    assert (first["failed"], second["failed"]) == (row["failed"], "")
    assert float(second["distillation.weight"]) == study.trials[1].params["distillation.weight"]


def test_jobs_that_failed_at_once_are_failures(tmp_path: Path) -> None:
    failed = run("lgad-fit", "-m", "+model=enet", "seed=1,2", "hydra.sweep.dir=sweep", folder=tmp_path, fails=True)
    assert "2 of 2 jobs failed: 0, 1" in failed.stderr
    assert [row["failed"] for row in read_table(tmp_path / "sweep")] == [
        "+model=enet: there is no group model, and lgad-fit reads no key of this name."
    ] * 2


def test_a_search_without_optuna_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgad_lightning.commands.sweep.find_spec", lambda name: None)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=["hydra/sweeper=optuna"], return_hydra_config=True)
    with pytest.raises(SystemExit, match=r'needs the extra sweep: pip install "lgad-lightning\[sweep\]"'):
        SweepTable().on_multirun_start(cfg)


@pytest.mark.parametrize(("launcher", "missing"), [("slurm", "submitit_slurm"), ("processes", "joblib")])
def test_a_launcher_that_is_not_installed_is_told(launcher: str, missing: str) -> None:
    error = MissingConfigException("", missing_cfg_file=f"hydra/launcher/{missing}", options=["basic"])
    told = explain(error, ["-m", f"hydra/launcher={launcher}"])
    assert told == f'hydra/launcher={missing} needs the extra sweep: pip install "lgad-lightning[sweep]".'


def test_a_cluster_queues_jobs_again_that_it_has_cut_off() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra sweep")
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        launcher = compose("fit", overrides=["hydra/launcher=slurm"], return_hydra_config=True).hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert launcher.max_num_timeout > 0
