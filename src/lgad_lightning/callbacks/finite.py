from typing import Any

import lightning as L
import torch
from torch import Tensor

from lgad_lightning.errors import LgadError


class FiniteLoss(L.Callback):
    """Ends a training at the first loss that is not finite (NaN or infinite), before a checkpoint of it is saved.

    It checks the loss of each training step, and `val/loss` after each validation.

    Raises:
        LgadError: If a loss is not finite. The message names the step and the terms of the loss.

    Example:
        >>> trainer = L.Trainer(callbacks=[FiniteLoss()], logger=False)
    """

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks the loss of a training step."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and not torch.isfinite(loss).all():
            self._stop(trainer, "train")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks the loss of the validation. It shows also if the last step went wrong."""
        loss = trainer.callback_metrics.get("val/loss")
        if loss is not None and not trainer.sanity_checking and not torch.isfinite(loss).all():
            self._stop(trainer, "val")

    def _stop(self, trainer: L.Trainer, split: str) -> None:
        figures = trainer.callback_metrics.items()
        wrong = [name for name, value in figures if name.startswith(f"{split}/") and not torch.isfinite(value).all()]
        # The step logs its terms without the distillation loss, which a callback adds later.
        terms = [name for name in wrong if name != f"{split}/loss"] or wrong or ["the distillation loss"]
        raise LgadError(
            f"The loss is no longer finite after optimiser step {trainer.global_step}: {', '.join(terms)}. The "
            "checkpoints saved before it are kept. Lower the learning rate or the distillation's weight, or look for "
            "values in the data or in the teacher's weights that are not finite."
        )
