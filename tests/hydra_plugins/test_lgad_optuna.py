"""The search itself, with jobs that train nothing."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate

from hydra_plugins.lgad_optuna import OptunaSweeper, divide
from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.errors import LgadError

optuna = pytest.importorskip("optuna", reason="needs the extra sweep")

WEIGHT = "distillation.weight=interval(0.1, 1)"


def search(
    folder: Path, report: Callable[[Any, int], float], *overrides: str, trials: int = 3, at_once: int = 1
) -> Any:
    """Runs a search into a folder and returns its study.

    Args:
        folder: The sweep's.
        report: What a job does: reports to the trial of a number, and returns a test figure.
        overrides: Those of the command line.
        trials: How many the study shall hold.
        at_once: How many are launched together.
    """
    storage = f"sqlite:///{folder}/study.db"

    def launch(jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        launched.append([list(job) for job in jobs])
        study = optuna.load_study(study_name="lgad", storage=storage)
        numbers = [int(job[-1].removeprefix("hydra.sweep.subdir=")) for job in jobs]
        assert initial_job_idx == numbers[0]
        return [SimpleNamespace(return_value=report(study, number)) for number in numbers]

    launched: list[list[list[str]]] = []
    chosen = ["hydra/sweeper=optuna", f"hydra.sweep.dir='{folder}'"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=chosen, return_hydra_config=True)
        cfg.hydra.sweeper.params = {}
        sweeper: OptunaSweeper = instantiate(cfg.hydra.sweeper, trials=trials, at_once=at_once)
        sweeper.config = cfg
        sweeper.hydra_context = SimpleNamespace(config_loader=GlobalHydra.instance().config_loader())  # type: ignore[assignment]
        sweeper.launcher = SimpleNamespace(launch=launch)  # type: ignore[assignment]
        sweeper.sweep(list(overrides))
    study = optuna.load_study(study_name="lgad", storage=storage)
    study.launched = launched
    return study


def trial_of(study: Any, number: int) -> Any:
    (found,) = (trial for trial in study.get_trials() if trial.number == number)
    return optuna.Trial(study, found._trial_id)


def improving(study: Any, number: int) -> float:
    """A job whose validation is at its best in the middle."""
    trial = trial_of(study, number)
    for step, figure in ((4, 0.2), (8, 0.6 + number / 100), (12, 0.5)):
        trial.report(figure, step)
    return 0.9 - number / 100


def test_a_trial_is_worth_its_best_validation_and_not_its_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = search(tmp_path, improving, WEIGHT, "seed=5")
    assert [trial.value for trial in study.trials] == pytest.approx([0.6, 0.61, 0.62])
    assert "Best val/f1 of 3 trials: 0.6200, trial 2: distillation.weight=" in capsys.readouterr().out
    assert all(0.1 <= trial.params["distillation.weight"] <= 1 for trial in study.trials)
    jobs = [job for (job,) in study.launched]
    assert [job[0] for job in jobs] == ["seed=5"] * 3
    assert [job[-1] for job in jobs] == [f"hydra.sweep.subdir={number}" for number in range(3)]


def test_of_losses_the_lowest_is_best(tmp_path: Path) -> None:
    study = search(tmp_path, improving, WEIGHT, "monitor=val/loss", trials=1)
    assert study.trials[0].value == pytest.approx(0.2)


def test_what_was_interrupted_is_run_again_in_its_folder_and_the_rest_not(tmp_path: Path) -> None:
    def interrupted(study: Any, number: int) -> float:
        if number == 2:
            raise KeyboardInterrupt
        return improving(study, number)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, interrupted, WEIGHT, trials=4)
    before = optuna.load_study(study_name="lgad", storage=f"sqlite:///{tmp_path}/study.db").trials
    study = search(tmp_path, improving, WEIGHT, trials=4)
    assert [[job[-1] for job in jobs] for jobs in study.launched] == [
        ["hydra.sweep.subdir=2"],
        ["hydra.sweep.subdir=3"],
    ]
    assert study.trials[2].params == before[2].params
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    assert search(tmp_path, improving, WEIGHT, trials=4).launched == []


def test_trials_that_failed_or_fell_behind_are_told_apart(tmp_path: Path) -> None:
    def job(study: Any, number: int) -> float:
        if number == 1:
            trial = trial_of(study, number)
            trial.report(0.1, 4)
            trial.set_user_attr("pruned", True)
        return improving(study, number) if number == 0 else math.nan

    study = search(tmp_path, job, WEIGHT, at_once=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert [len(jobs) for jobs in study.launched] == [3]


def test_ranges_become_distributions_and_the_later_one_counts() -> None:
    given = [
        "a=interval(0.1,1.0)",
        "b=int(interval(1,3))",
        "c=tag(log,interval(0.1,1.0))",
        "d=x,y",
        "e=1",
        "d=[u],[v]",
        "a=2",
        "f=interval(0.1,1.0)",
        "++f=0.5",
        "+g=1",
        "+g=x,y",
    ]
    fixed, space = divide(OverridesParser.create().parse_overrides(given))
    assert fixed == ["e=1", "a=2", "++f=0.5"]
    assert space == {
        "b": optuna.distributions.IntDistribution(1, 3),
        "c": optuna.distributions.FloatDistribution(0.1, 1.0, log=True),
        "d": optuna.distributions.CategoricalDistribution(["[u]", "[v]"]),
        "+g": optuna.distributions.CategoricalDistribution(["x", "y"]),
    }


@pytest.mark.parametrize(
    ("overrides", "told"), [(("seed=1",), "nothing to search"), ((WEIGHT, "stage=teacher"), "stage=teacher")]
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(LgadError, match=told):
        search(tmp_path, improving, *overrides)
    assert list(tmp_path.iterdir()) == []
