"""`hydra/sweeper=optuna` of `lgad-fit`: a search by Optuna. In this namespace alone Hydra finds its plugins."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:  # every Hydra application of the environment looks at this file
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


class OptunaSweeper(Sweeper):
    """Asks Optuna for trials and has Hydra's launcher run them: trial 7 in folder 7 of the sweep.

    A trial is worth the best of its validation figures (`monitor`). Figures of the test have no part in the search. A
    sweep that was interrupted goes on with the trials that it had begun.

    Args:
        trials: Trials that the study shall hold at the end; those of earlier starts count.
        at_once: Trials that are launched together; more than one needs a launcher that runs them side by side.
        storage: Address of the study's database.
        study: Name of the study in it.
        sampler: What chooses the next trial.
        pruner: What ends trials that fall behind; None to let all run to their end. The trials themselves ask it.
        params: What is searched: keys of the configuration with ranges in Hydra's grammar, `interval(0.1, 1)` or
            `choice(a, b)`. Those on the command line are added, or take their place.
    """

    def __init__(
        self,
        trials: int,
        at_once: int,
        storage: str,
        study: str,
        sampler: "BaseSampler",
        pruner: "BasePruner | None",
        params: DictConfig | None = None,
    ) -> None:
        self.trials = trials
        self.at_once = at_once
        self.storage = storage
        self.study = study
        self.sampler = sampler
        self.pruner = pruner
        self.params = {} if params is None else params
        self.config: DictConfig
        self.launcher: Launcher
        self.hydra_context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes over what Hydra gives to sweepers."""
        self.config = config
        self.hydra_context = hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs trials until the study holds enough.

        Args:
            arguments: The overrides of the command line.

        Raises:
            LgadError: If there is nothing to search, or no figure to search by.
        """
        from lgad_lightning.errors import LgadError

        given = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        fixed, space = divide(parser.parse_overrides(given))
        if not space:
            raise LgadError("There is nothing to search: give a range, as 'distillation.weight=interval(0.1,1)'.")
        settings = self.hydra_context.config_loader.load_sweep_config(self.config, fixed)
        if settings.stage == "teacher":
            raise LgadError("A search goes by the student's validation, and stage=teacher trains none.")
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        self._search(fixed, space, settings.monitor)

    def _search(self, fixed: list[str], space: "dict[str, BaseDistribution]", monitor: str) -> None:
        import optuna

        from lgad_lightning.callbacks.checkpoint import is_better_high

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self.study,
            storage=self.storage,
            sampler=self.sampler,
            direction="maximize" if is_better_high(monitor) else "minimize",
            load_if_exists=True,
        )
        running = (optuna.trial.TrialState.RUNNING,)
        begun = study.get_trials(deepcopy=False, states=running)
        while (free := self.trials - len(study.trials) + len(study.get_trials(deepcopy=False, states=running))) > 0:
            count = min(free, self.at_once)
            old, begun = begun[:count], begun[count:]
            batch = [*old, *(study.ask(space) for _ in range(count - len(old)))]
            jobs = [
                [
                    *fixed,
                    *(f"{key}={value}" for key, value in trial.params.items()),
                    f"hydra.sweep.subdir={trial.number}",
                ]
                for trial in batch
            ]
            returned = self.launcher.launch(jobs, initial_job_idx=batch[0].number)
            for trial, job in zip(batch, returned, strict=True):
                conclude(study, trial.number, float(job.return_value))
        if any(trial.state is optuna.trial.TrialState.COMPLETE for trial in study.trials):
            best = study.best_trial
            chosen = " ".join(f"{key}={value}" for key, value in best.params.items())
            print(f"Best {monitor} of {len(study.trials)} trials: {best.value:.4f}, trial {best.number}: {chosen}")


def divide(overrides: list[Override]) -> "tuple[list[str], dict[str, BaseDistribution]]":
    """Divides overrides into those that are the same in all trials, and the space that is searched.

    Args:
        overrides: The overrides; of two for a key the later one counts.

    Returns:
        The former as they were typed, and the distribution of each key of the latter.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    fixed: dict[str, str] = {}
    space: dict[str, BaseDistribution] = {}
    for override in overrides:
        key = override.get_key_element()
        value: Any = override.value()
        for earlier in [name for name in (*fixed, *space) if name.lstrip("+") == key.lstrip("+")]:
            fixed.pop(earlier, None)
            space.pop(earlier, None)
        if isinstance(value, IntervalSweep):
            whole = {type(value.start), type(value.end)} == {int}
            kind: Any = IntDistribution if whole else FloatDistribution
            space[key] = kind(value.start, value.end, log="log" in value.tags)
        elif override.is_sweep_override():
            space[key] = CategoricalDistribution(list(override.sweep_string_iterator()))
        else:
            fixed[key] = str(override.input_line)
    return list(fixed.values()), space


def conclude(study: "Study", number: int, returned: float) -> None:
    """Tells a study how a trial ended.

    Args:
        study: The study.
        number: The trial's.
        returned: What the job has returned; NaN if it failed.
    """
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    trial = study.get_trials(deepcopy=False)[number]
    figures = [value for value in trial.intermediate_values.values() if math.isfinite(value)]
    if "pruned" in trial.user_attrs:
        study.tell(number, state=TrialState.PRUNED)
    elif math.isnan(returned) or not figures:
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, max(figures) if study.direction is StudyDirection.MAXIMIZE else min(figures))
