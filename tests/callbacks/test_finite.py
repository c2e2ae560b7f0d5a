from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from lgad_lightning.callbacks import FiniteLoss
from lgad_lightning.errors import LgadError


class Module(L.LightningModule):
    """Its loss becomes NaN at a given step, or in validation after it."""

    def __init__(self, breaks_at: int, where: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.breaks_at, self.where = breaks_at, where

    def factor(self, where: str) -> float:
        return float("nan") if where == self.where and self.global_step >= self.breaks_at else 1.0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        term = self.weight * self.factor("train")
        self.log_dict({"train/cross_entropy": term.detach(), "train/iou": 0.0, "train/loss": term.detach()})
        return term

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.factor("val"))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, module: Module) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, filename="{step}", save_top_k=-1), FiniteLoss()],
    )
    data = DataLoader(torch.zeros(4, 1))
    trainer.fit(module, data, data)


@pytest.mark.parametrize(
    ("breaks_at", "where", "message"),
    [(6, "train", "step 7: train/cross_entropy\\."), (8, "val", "step 8: val/loss\\.")],
)
def test_a_loss_that_is_not_finite_ends_the_training_and_is_named(
    tmp_path: Path, breaks_at: int, where: str, message: str
) -> None:
    with pytest.raises(LgadError, match=message):
        fit(tmp_path, Module(breaks_at, where))
    assert [path.name for path in tmp_path.iterdir()] == ["step=4.ckpt"]


def test_a_finite_training_goes_to_its_end(tmp_path: Path) -> None:
    fit(tmp_path, Module(100, "train"))
    assert len(list(tmp_path.iterdir())) == 3
