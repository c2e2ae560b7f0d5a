"""The figures of the test loop against those of `lgad-eval` on the files that the test loop wrote."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from lgad_lightning import LaneStudent, SyntheticLaneDataModule
from lgad_lightning.callbacks import LanePredictionWriter
from lgad_lightning.lanes import CULaneDecoder
from lgad_lightning.metrics import CULaneF1
from lgad_lightning.modules import encode_label
from lgad_lightning.networks import LaneOutput
from tests.helpers.commands import run


class Echo(nn.Module):
    """Returns what it is given, sure of it but for the rightmost lane, which it never finds."""

    num_classes = 5

    def forward(self, planes: Tensor) -> LaneOutput:
        existence = planes[:, 1:].amax((2, 3)) * torch.tensor([1.0, 1.0, 1.0, 0.0])
        return LaneOutput(20 * planes, 20 * existence - 10)


class Cheat(LaneStudent):
    """Sees the label map."""

    def network_input(self, batch: Any) -> Tensor:
        return encode_label(batch["label"], 5)


def test_the_test_loop_counts_what_lgad_eval_counts(tmp_path: Path) -> None:
    data = SyntheticLaneDataModule(tmp_path / "data", train=0, val=0, test=18, num_workers=0, input_size=(288, 800))
    student = Cheat(Echo(), CULaneDecoder(), CULaneF1())
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path,
        callbacks=[LanePredictionWriter(tmp_path / "predictions")],
    )  # fmt: skip
    trainer.test(student, data, verbose=False)

    arguments = ("--pred", "predictions", "--data", "data", "--json", "eval.json")
    run("lgad-eval", "culane", *arguments, folder=tmp_path)
    counted = json.loads((tmp_path / "eval.json").read_text())
    assert counted["total"] == student.test_results["total"]
    scenarios = {name.split("_")[1]: figures for name, figures in counted["scenarios"].items()}
    assert scenarios == student.test_results["scenarios"]
    assert counted["total"]["precision"] > 0.95
    assert 0 < counted["total"]["fn"] < counted["total"]["tp"]
