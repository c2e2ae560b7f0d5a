from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from lgad_lightning.callbacks import SeedEveryBatch


class Draws(L.Callback):
    """Notes what torch draws in each step."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def on_train_batch_start(self, *args: object) -> None:
        self.drawn.append(torch.rand(()).item())


def drawn(folder: Path, epochs: int, seed: int = 0, resume: Path | None = None) -> list[float]:
    draws = Draws()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, limit_train_batches=2, limit_val_batches=0, logger=False,
        default_root_dir=folder, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[SeedEveryBatch(seed), draws],
    )  # fmt: skip
    trainer.fit(BoringModel(), ckpt_path=resume)
    trainer.save_checkpoint(folder / "last.ckpt")
    return draws.drawn


def test_draws_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    whole = drawn(tmp_path, epochs=3)
    assert len(set(whole)) == 6
    torch.manual_seed(6)
    assert drawn(tmp_path, epochs=2) == whole[:4]
    assert drawn(tmp_path, epochs=3, resume=tmp_path / "last.ckpt") == whole[4:]
    assert set(drawn(tmp_path, epochs=3, seed=1)).isdisjoint(whole)
