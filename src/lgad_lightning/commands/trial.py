"""A job of a sweep that is a trial of a search by Optuna (`hydra/sweeper=optuna`)."""

from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf
from typing_extensions import override

SWEEPER = "hydra_plugins.lgad_optuna.OptunaSweeper"


class TrialPruned(Exception):  # noqa: N818
    """Ends a training that falls behind those of other trials."""


class ReportToStudy(L.Callback):
    """Reports the validations of a trial to its study, and ends the training where the pruner says so.

    Args:
        storage: Address of the study's database.
        study: The study's name there.
        number: The trial's number.
        monitor: The figure to report.
        pruner: Describes the pruner by its `_target_`. None: no training is ended.
    """

    def __init__(self, storage: str, study: str, number: int, monitor: str, pruner: dict[str, Any] | None) -> None:
        self.storage = storage
        self.study = study
        self.number = number
        self.monitor = monitor
        self.pruner = pruner

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        figure = float(trainer.callback_metrics[self.monitor])
        behind = trainer.is_global_zero and self._report(trainer.global_step, figure)
        if trainer.strategy.broadcast(behind):
            raise TrialPruned(f"pruned after step {trainer.global_step:,}, at {self.monitor} {figure:.4f}")

    def _report(self, step: int, figure: float) -> bool:
        """Reports a figure. True if the trial falls behind. Callbacks are pickled, so the study is opened each time."""
        import optuna

        storage = optuna.storages.RDBStorage(self.storage)
        number = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(self.study), self.number
        )
        study = optuna.load_study(study_name=self.study, storage=storage, pruner=instantiate(self.pruner))
        trial = optuna.Trial(study, number)
        trial.report(figure, step)
        behind = self.pruner is not None and trial.should_prune()
        if behind:
            trial.set_user_attr("pruned", True)
        return behind


def trial_callbacks(monitor: str) -> list[L.Callback]:
    """The callbacks of a job in addition to its configured ones: none, unless it is a trial.

    Args:
        monitor: The figure that chooses the best checkpoint, and the best trial.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN or hydra.sweeper._target_ != SWEEPER:
        return []
    settings: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
    number = int(hydra.sweep.subdir)
    return [ReportToStudy(settings["storage"], settings["study"], number, monitor, settings["pruner"])]
