import json
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from lgad_lightning.callbacks import AttentionPictures
from lgad_lightning.commands.loggers import mlflow_logger, wandb_logger
from lgad_lightning.commands.trackers import log_test

ROW = {"tp": 3, "fp": 1, "f1": 0.75}
RESULTS = {"total": ROW, "scenarios": {"night": ROW | {"f1": -1.0}}}
PICTURE = np.zeros((4, 6, 3), np.uint8)


def trainer_with(folder: Path, *loggers: Any, pictures: bool = False) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", default_root_dir=folder, enable_checkpointing=False, enable_progress_bar=False,
        logger=list(loggers), callbacks=[AttentionPictures(log_images=pictures)],
    )  # fmt: skip


@pytest.mark.parametrize("pictures", [False, True])
def test_tensorboard_gets_the_table_and_pictures_when_asked(tmp_path: Path, pictures: bool) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra loggers")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    assert log_test(trainer_with(tmp_path, CSVLogger(tmp_path), logger, pictures=pictures), RESULTS, PICTURE) == {}
    logger.experiment.flush()
    events = EventAccumulator(logger.log_dir).Reload()
    (text,) = events.Tensors("test/scenarios/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    assert "| scenario | tp | fp | f1 |" in shown
    assert "| night | 3 | 1 | - |" in shown
    assert events.Tags()["images"] == (["test"] if pictures else [])


def test_wandb_gets_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = wandb_logger(tmp_path / "student", offline=True)
    try:
        assert log_test(trainer_with(tmp_path, logger), RESULTS, PICTURE) == {}  # offline there is no address
    finally:
        wandb.finish()
    (table,) = tmp_path.rglob("*.table.json")
    assert json.loads(table.read_text())["data"] == [["night", 3, 1, -1.0], ["total", 3, 1, 0.75]]


def test_mlflow_gets_curves_table_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is installed by hand")
    monkeypatch.chdir(tmp_path)
    logger = mlflow_logger(experiment_name="lgad", tracking_uri="sqlite:///mlflow.db")
    logger.log_metrics({"val/f1": 0.5}, 3)
    assert log_test(trainer_with(tmp_path, logger, pictures=True), RESULTS, PICTURE) == {}
    kept = logger.experiment.get_run(logger.run_id)
    assert kept.data.metrics == {"val/f1": 0.5}
    assert {item.path for item in logger.experiment.list_artifacts(logger.run_id)} == {"test.json", "test"}


class Online(WandbLogger):
    """One that shows the run at an address."""

    @property
    def experiment(self) -> Any:
        return type("Run", (), {"offline": False, "url": "https://wandb.example.org/runs/1"})

    def log_table(self, *args: Any, **kwargs: Any) -> None:
        return


class Gone(Online):
    def log_table(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError("gone")


def test_addresses_are_kept_and_errors_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = trainer_with(tmp_path, Gone(save_dir=tmp_path), Online(save_dir=tmp_path))
    assert log_test(trainer, RESULTS, PICTURE) == {"Online": "https://wandb.example.org/runs/1"}
    assert "Gone has not got the table of the test: ConnectionError: gone" in caplog.text
