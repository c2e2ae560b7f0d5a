from typing import Any

import lightning as L
import torch
from torch import Tensor

from lgad_lightning.errors import LgadError


class FiniteLoss(L.Callback):
    """Ends a training at its first loss that is not finite, before anything of it is saved.

    It looks at each training step's loss and, after each validation, at `val/loss`.

    Raises:
        LgadError: Naming step and terms.

    Example:
        >>> trainer = L.Trainer(callbacks=[FiniteLoss()], logger=False)
    """

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the loss of a step."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and not torch.isfinite(loss).all():
            self._stop(trainer, "train")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the loss of a validation, which a last step that went wrong shows in."""
        loss = trainer.callback_metrics.get("val/loss")
        if loss is not None and not trainer.sanity_checking and not torch.isfinite(loss).all():
            self._stop(trainer, "val")

    def _stop(self, trainer: L.Trainer, split: str) -> None:
        figures = trainer.callback_metrics.items()
        wrong = [name for name, value in figures if name.startswith(f"{split}/") and not torch.isfinite(value).all()]
        # The step's own terms are logged without the distillation, which a callback adds.
        terms = [name for name in wrong if name != f"{split}/loss"] or wrong or ["the distillation loss"]
        raise LgadError(
            f"The loss is no longer finite after optimiser step {trainer.global_step}: {', '.join(terms)}. The "
            "checkpoints saved before it are kept. Lower the learning rate or the distillation's weight, or look for "
            "values in the data or in the teacher's weights that are not finite."
        )
