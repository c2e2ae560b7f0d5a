from typing import Any

import lightning as L
import numpy as np
import torch


class SeedEveryBatch(L.Callback):
    """Seeds torch before every training step from the seed, the epoch, the batch's number and the rank.

    Checkpoints hold no random state. With this callback, the random numbers of a step (for example, of dropout) do not
    depend on earlier steps. So a resumed training continues exactly as the uninterrupted one.

    Args:
        seed: Any integer >= 0.

    Example:
        >>> trainer = L.Trainer(callbacks=[SeedEveryBatch(seed=1)], logger=False)
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds the generators of the CPU and of all devices."""
        mixed = np.random.SeedSequence([self.seed, trainer.current_epoch, batch_idx, trainer.global_rank])
        torch.manual_seed(int(mixed.generate_state(1)[0]))
