import logging
import time
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch

from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.prediction_files import (
    check_folder_of_test,
    check_names,
    claim_folder,
    empty_folder,
    prediction_path,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_ROWS, TuSimpleFrame, write_lines, write_tusimple
from lgad_lightning.metrics.functional.tusimple import MAX_RUN_TIME
from lgad_lightning.modules import LaneResult

log = logging.getLogger(__name__)


class LanePredictionWriter(L.Callback):
    """Writes the lanes of a test or a prediction in the format of the official evaluators.

    CULane: `<folder>/<image without ending>.lines.txt`. The file is empty if no lane was found. TuSimple:
    `<folder>/predictions.json`, one line for each image, with the measured run time in milliseconds.

    Nothing is written outside the folder. A test or a prediction begins with removing earlier predictions. If the
    folder was not made by this callback and holds files, a fit, a test or a prediction stops at its start.

    Args:
        folder: Where to write.
        format: `culane` or `tusimple`. By default, the format of the data module, or CULane's without a data module.

    Raises:
        LgadError: If the format is unknown.
    """

    def __init__(self, folder: str | Path, format: Literal["culane", "tusimple"] | None = None) -> None:
        if format not in ("culane", "tusimple", None):
            raise LgadError(f"LanePredictionWriter(format={format!r}): choose 'culane' or 'tusimple'.")
        self.folder = Path(folder)
        self.format = format
        self._frames: list[TuSimpleFrame] = []
        self._started = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks the folder before anything long begins."""
        self._frames = []  # an earlier test may have been interrupted
        if not trainer.is_global_zero or stage == "validate":
            return
        if stage == "fit":
            check_folder_of_test(self.folder)
            return
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, LaneDataModule) and self._format(trainer) == "culane":
            check_names(data.open("test").names)
        empty_folder(self.folder)
        claim_folder(self.folder)

    def on_test_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_predict_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Writes the lanes of one batch, or keeps them for TuSimple's file."""
        self._take(trainer, pl_module, outputs, batch)

    def on_predict_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Writes the lanes of one batch, or keeps them for TuSimple's file."""
        self._take(trainer, pl_module, outputs, batch)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes TuSimple's file."""
        self._write_tusimple(trainer)

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes TuSimple's file."""
        self._write_tusimple(trainer)

    def _format(self, trainer: L.Trainer) -> str:
        data = getattr(trainer, "datamodule", None)
        return self.format or (data.protocol.format if isinstance(data, LaneDataModule) else "culane")

    def _take(self, trainer: L.Trainer, module: L.LightningModule, result: LaneResult, batch: Any) -> None:
        names, lanes = result["name"], result["lanes"]
        if self._format(trainer) == "culane":
            for name, found in zip(names, lanes, strict=True):
                write_lines(prediction_path(self.folder, name), found)
            return
        run_time = 1000.0 * (time.perf_counter() - self._started) / len(names)
        decoded = getattr(getattr(module, "decoder", None), "h_samples", TUSIMPLE_ROWS)
        rows = batch.get("evaluation", {}).get("h_samples", [decoded] * len(names))
        self._frames += [
            TuSimpleFrame(name, found, tuple(h_samples), run_time)
            for name, found, h_samples in zip(names, lanes, rows, strict=True)
        ]

    def _write_tusimple(self, trainer: L.Trainer) -> None:
        if self._format(trainer) != "tusimple":
            return
        gathered = [self._frames]
        if trainer.world_size > 1:
            gathered = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(gathered, self._frames)
        self._frames = []
        if trainer.is_global_zero:
            unique = {frame.raw_file: frame for frames in gathered for frame in frames}  # samplers may repeat images
            write_tusimple(self.folder / "predictions.json", unique.values())
            slow = sum((frame.run_time or 0) > MAX_RUN_TIME for frame in unique.values())
            if slow:
                log.warning(
                    "%d of %d predictions took more than %d ms each on this machine. The official evaluator and "
                    "lgad-eval tusimple count these as empty. The figures of this test ignore the time.",
                    slow,
                    len(unique),
                    MAX_RUN_TIME,
                )
