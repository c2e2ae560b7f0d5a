"""Pictures of what a student predicts and of where it and its teacher look."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from typing_extensions import override

from lgad_lightning.attention import attention_map
from lgad_lightning.callbacks.batch_items import Where, image_of, label_of, size_of
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.drawing import Picture, draw_attention, draw_grid, draw_image, draw_label, write_picture
from lgad_lightning.errors import LgadError
from lgad_lightning.features import evaluating, record_features


@torch.no_grad()
def draw_batch(
    module: L.LightningModule,
    batch: Any,
    distillations: Sequence[FeatureDistillation] = (),
    count: int = 4,
    image: Where | None = None,
    label: Where | None = None,
) -> Picture:
    """Draw a row for each sample: image, ground truth, prediction, and per pair the two attention maps.

    Args:
        module: The student; called with the images, it returns logits `(B, K, H, W)` (one channel: binary), or an
            object or a mapping that has them as `logits`. It runs in evaluation mode and is left as it was.
        batch: A batch on the module's device, as `image_of` and `label_of` understand it.
        distillations: Callbacks whose pairs of layers are shown; whether they are at work does not matter.
        count: The largest number of samples.
        image: Where the images are in the batch, if not at the usual places; see `image_of`.
        label: Where the label maps are, likewise; see `label_of`.

    Returns:
        An RGB picture, `(height, width, 3)`.
    """
    # Compiled code would ignore the recording's hooks, or be compiled once more for them.
    with evaluating(module), torch.compiler.set_stance("force_eager"):
        output, attention = _output_and_attention(module, batch, distillations, image)
    logits: Tensor = output["logits"] if isinstance(output, dict) else getattr(output, "logits", output)
    prediction = logits.argmax(1) if logits.shape[1] > 1 else logits[:, 0] > 0
    images, labels = image_of(batch, image)[:count], label_of(batch, label)
    return draw_grid(
        {"image": [draw_image(image) for image in images]}
        | {"ground truth": [draw_label(image, label) for image, label in zip(images, labels, strict=False)]}
        | {"prediction": [draw_label(image, label) for image, label in zip(images, prediction, strict=False)]}
        | {title: [draw_attention(one) for one in maps[:count]] for title, maps in attention.items()}
    )


class AttentionPictures(L.Callback):
    """Writes pictures of the first validation samples (training samples, where there is no validation) while training.

    They lie in `pictures/` under the trainer's `default_root_dir`, one PNG each `every_n_steps` and one at the end. The
    module needs a `forward(images)` that returns what `draw_batch` asks for.

    Args:
        every_n_steps: Optimiser steps between two pictures.
        count: Samples in a picture.
        image: Where the images are in a batch: a key, a position, or a function of it; see `image_of`.
        label: Where the label maps are, likewise; see `label_of`.
        log_images: Whether loggers that take images (wandb, TensorBoard) get them too. Frames show faces and number
            plates: think of where the logger sends them.

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
    ) -> None:
        self.every_n_steps = every_n_steps
        self.count = count
        self.log_images = log_images
        self.image = image
        self.label = label
        self._batch: Any = None
        self._drawn = -1

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and not is_overridden("forward", pl_module):
            raise LgadError(
                f"AttentionPictures draws what the module predicts: give {type(pl_module).__name__} a forward(images)"
                " that returns logits (B, K, H, W), or leave the pictures out"
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
            self._batch = batch

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._batch is None:
            self._batch = batch
        # Several batches have one global step while gradients accumulate.
        if trainer.global_step % self.every_n_steps == 0 and trainer.global_step > max(self._drawn, 0):
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
        self._batch, self._drawn = None, -1

    @rank_zero_only
    def _draw(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._drawn = trainer.global_step
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        distillations = [callback for callback in callbacks if isinstance(callback, FeatureDistillation)]
        picture = draw_batch(module, self._batch, distillations, self.count, self.image, self.label)
        write_picture(Path(trainer.default_root_dir) / "pictures" / f"step-{self._drawn:07d}.png", picture)
        loggers: list[Any] = trainer.loggers if self.log_images else []
        for logger in loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("pictures", [picture], self._drawn)
            elif hasattr(logger.experiment, "add_image"):
                logger.experiment.add_image("pictures", picture, self._drawn, dataformats="HWC")


def _output_and_attention(
    module: L.LightningModule, batch: Any, distillations: Sequence[FeatureDistillation], where: Where | None
) -> tuple[Any, dict[str, Tensor]]:
    image = image_of(batch, where).to(module.dtype)
    output: Any = None
    maps: dict[str, Tensor] = {}
    for distillation in distillations:
        fit = RunningFit(module, size=size_of(batch, where))
        fit.look_up(distillation.layer_pairs(module), distillation.teaches_itself)
        with record_features(fit.layers, owner="the student") as recorded:
            output = module(image)
        features = fit.student_features(recorded, distillation.layout)
        targets = distillation.target_features(fit, distillation.teacher_inputs(batch), features)
        for label, (name, _), target in zip(fit.labels, fit.pairs, targets, strict=True):
            title = f"{distillation.name} {label.rsplit('.', 1)[-1]}"
            maps |= {f"{title}: student": attention_map(features[name]), f"{title}: target": attention_map(target)}
    return module(image) if output is None else output, maps
