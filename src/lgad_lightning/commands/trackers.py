"""Sends the table of a test to trackers, and the picture if pictures are wanted."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lgad_lightning.callbacks import AttentionPictures
from lgad_lightning.callbacks.pictures import send_picture
from lgad_lightning.commands.figures import format_figure
from lgad_lightning.commands.mistakes import describe
from lgad_lightning.drawing import Picture

log = logging.getLogger(__name__)


def log_test(trainer: L.Trainer, results: Mapping[str, Any], picture: Picture | None) -> dict[str, str]:
    """Sends a test's table to the trainer's trackers. Their errors become warnings.

    Args:
        trainer: The trainer.
        results: `{"total": {...}, "scenarios": {"normal": {...}, ...}}` as a metric's `results()` returns it.
        picture: The picture of the test. The trackers get it if `AttentionPictures(log_images=True)` sent them those of
            the training. None: no picture.

    Returns:
        The addresses at which trackers show the run, by their names.
    """
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    sent = any(isinstance(callback, AttentionPictures) and callback.log_images for callback in callbacks)
    if picture is not None and sent:
        send_picture(trainer.loggers, "test", picture, trainer.global_step)
    links = {}
    for logger in trainer.loggers:
        try:
            _log_table(logger, results)
            if (link := _address(logger)).startswith("http"):
                links[type(logger).__name__] = link
        except Exception as error:
            log.warning("%s has not got the table of the test: %s", type(logger).__name__, describe(error))
    return links


def _log_table(logger: Logger, results: Mapping[str, Any]) -> None:
    columns = list(results["total"])
    named = {**results["scenarios"], "total": results["total"]}
    rows = [[name, *(row[column] for column in columns)] for name, row in named.items()]
    header = ["scenario", *columns]
    if isinstance(logger, WandbLogger):
        logger.log_table("test/scenarios", header, rows)
    elif isinstance(logger, TensorBoardLogger):
        shown = [header, ["---"] * len(header), *([name, *map(format_figure, row)] for name, *row in rows)]
        logger.experiment.add_text("test/scenarios", "\n".join(f"| {' | '.join(cells)} |" for cells in shown))
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_dict(
            logger.run_id, {"total": results["total"], "scenarios": results["scenarios"]}, "test.json"
        )


def _address(logger: Logger) -> str:
    """The address where a tracker shows the run. Empty if there is none."""
    if isinstance(logger, WandbLogger):
        run = logger.experiment
        return "" if run.offline else str(run.url)
    if isinstance(logger, MLFlowLogger):
        import mlflow

        return f"{mlflow.get_tracking_uri()}/#/experiments/{logger.experiment_id}/runs/{logger.run_id}"
    return ""
