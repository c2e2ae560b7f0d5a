"""Pictures of the predictions and the attention maps of a student and its teacher."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from lightning.pytorch.utilities.model_helpers import is_overridden
from typing_extensions import override

from lgad_lightning.batch_items import Where, image_of, label_of
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.sight import Sight, see
from lgad_lightning.drawing import Picture
from lgad_lightning.errors import LgadError


def draw_batch(
    module: L.LightningModule,
    batch: Any,
    distillations: Sequence[FeatureDistillation] = (),
    count: int = 4,
    image: Where | None = None,
    label: Where | None = None,
) -> Picture:
    """Draw a row for each sample: image, ground truth, prediction, and two attention maps for each pair of layers.

    Args:
        module: The student. It is called with the images and returns logits `(B, K, H, W)` (one channel: binary), or an
            object or a mapping with `logits`. It runs in evaluation mode and is not changed.
        batch: A batch on the device of the module. `image_of` and `label_of` must understand it.
        distillations: Callbacks whose pairs of layers are shown. They need not be active.
        count: The largest number of samples.
        image: Where the images are in the batch, if not at the usual places; see `image_of`.
        label: Where the label maps are in the batch, if not at the usual places; see `label_of`.

    Returns:
        An RGB picture, `(height, width, 3)`.
    """
    return see(module, batch, distillations, count, image, label).picture()


class AttentionPictures(L.Callback):
    """Writes pictures of the first validation samples during a training. Without validation, it uses training samples.

    It writes a PNG every `every_n_steps` steps, and one at the end. The attention maps are written beside each picture
    as data (`.npz`; `attention_file.read_maps` reads it). The module needs a `forward(images)`: see `draw_batch`.

    Args:
        every_n_steps: Number of optimiser steps between two pictures.
        count: Number of samples in a picture.
        image: Where the images are in a batch: a key, a position, or a function of the batch; see `image_of`.
        label: Where the label maps are in a batch; see `label_of`.
        folder: Where the pictures are written. By default `pictures` in the trainer's `default_root_dir`.
        log_images: Whether the pictures are also sent to loggers that take images (wandb, TensorBoard, MLflow). Frames
            can show faces and number plates: consider where the logger sends them.

    Example:
        >>> trainer = L.Trainer(callbacks=[AttentionPictures(every_n_steps=200)], logger=False)
    """

    def __init__(
        self,
        every_n_steps: int = 500,
        count: int = 4,
        log_images: bool = False,
        image: Where | None = None,
        label: Where | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if every_n_steps < 1:
            raise LgadError(f"every_n_steps={every_n_steps}: give a number of steps of at least 1")
        self.every_n_steps = every_n_steps
        self.count = count
        self.log_images = log_images
        self.image = image
        self.label = label
        self.folder = folder
        self._batch: Any = None
        self._drawn = -1
        self._tried = False

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and not is_overridden("forward", pl_module):
            raise LgadError(
                f"AttentionPictures draws predictions, but {type(pl_module).__name__} has no forward: add a"
                " forward(images) that returns logits (B, K, H, W), or remove AttentionPictures"
            )

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == dataloader_idx == 0:
            self._keep(batch)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._drawn = trainer.global_step or -1  # a resumed training has drawn before

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._batch is None:
            self._keep(batch)
        if not self._tried and trainer.is_global_zero:
            self._see(trainer, pl_module)  # fails at the first step, not at the first picture
        self._tried = True
        # With accumulated gradients, several batches have the same global step. With several optimisers, it jumps.
        if trainer.global_step // self.every_n_steps > max(self._drawn, 0) // self.every_n_steps:
            self._draw(trainer, pl_module)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._batch is not None and trainer.global_step > self._drawn:
            self._draw(trainer, pl_module)

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._reset()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._reset()  # there is no teardown after an exception

    def _reset(self) -> None:
        self._batch, self._drawn, self._tried = None, -1, False

    def _keep(self, batch: Any) -> None:
        image_of(batch, self.image)  # refuses a batch that cannot be drawn
        label_of(batch, self.label)
        self._batch = batch

    def _see(self, trainer: L.Trainer, module: L.LightningModule) -> Sight:
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        distillations = [callback for callback in callbacks if isinstance(callback, FeatureDistillation)]
        return see(module, self._batch, distillations, self.count, self.image, self.label)

    @rank_zero_only
    def _draw(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._drawn = trainer.global_step
        sight = self._see(trainer, module)
        folder = Path(self.folder or Path(trainer.default_root_dir, "pictures"))
        picture = sight.write(folder / f"step-{self._drawn:07d}.png")
        if self.log_images:
            send_picture(trainer.loggers, "pictures", picture, self._drawn)


def send_picture(loggers: Sequence[Any], name: str, picture: Picture, step: int) -> None:
    """Send a picture to the loggers that take images. If one fails, there is a warning.

    Args:
        loggers: The loggers of the trainer.
        name: The name of the picture in the logger.
        picture: The picture.
        step: The optimiser step that it belongs to.
    """
    for logger in loggers:
        try:
            if hasattr(logger, "log_image"):  # wandb
                logger.log_image(name, [picture], step)
            elif hasattr(logger.experiment, "add_image"):  # TensorBoard
                logger.experiment.add_image(name, picture, step, dataformats="HWC")
            elif hasattr(logger, "run_id"):  # MLflow
                logger.experiment.log_image(logger.run_id, picture, f"{name}/step-{step:07d}.png")
        except Exception as error:
            rank_zero_warn(f"{type(logger).__name__} did not take the picture of step {step}: {error}")
