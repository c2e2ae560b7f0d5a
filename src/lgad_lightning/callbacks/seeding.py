import lightning as L
import numpy as np
import torch


class SeedEveryEpoch(L.Callback):
    """Seeds torch at the start of every training epoch from the seed, the epoch and the rank.

    Checkpoints hold no random state. With this callback, what is random on the device (dropout, for one) is a function
    of the epoch, so a training that is resumed at an epoch's end goes on exactly as the uninterrupted one.

    Args:
        seed: Any integer >= 0.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seeds the generators of the CPU and of all devices."""
        mixed = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(mixed.generate_state(1)[0]))
