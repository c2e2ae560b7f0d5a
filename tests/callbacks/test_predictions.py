from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from lgad_lightning import LaneStudent
from lgad_lightning.callbacks import LanePredictionWriter
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULaneDecoder, Frame, Lane, read_lines, read_tusimple
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy
from lgad_lightning.networks import ERFNet

ROWS = tuple(range(240, 711, 10))
LANE = Lane([(300 + row / 7, row) for row in ROWS], (720, 1280))


class Always(CULaneDecoder):
    """Finds the same lane in the first image of every batch."""

    def __call__(self, probabilities: Any, existence: Any, frames: Any) -> list[list[Lane]]:
        return [[LANE], *([] for _ in frames[1:])]


def batches(**evaluation: Any) -> DataLoader[Any]:
    names = ["clips/a/20.jpg", "clips/b/20.jpg"]
    batch = {
        "image": torch.zeros(2, 3, 32, 96),
        "label": torch.zeros(2, 32, 96, dtype=torch.long),
        "existence": torch.zeros(2, 6),
        "name": names,
        "frame": [Frame(720, 1280)] * 2,
        "evaluation": {"target": [[LANE], []], "images": names, **evaluation},
    }
    return DataLoader([batch], batch_size=None)


def trainer(folder: Path, format: Any) -> L.Trainer:
    writer = LanePredictionWriter(folder / "predictions", format)
    return L.Trainer(
        accelerator="cpu", logger=False, default_root_dir=folder, enable_progress_bar=False, callbacks=[writer]
    )


def student(metric: Any) -> LaneStudent:
    return LaneStudent(ERFNet(7, input_size=(32, 96), channels=(8, 16, 24)), Always(), metric)


def test_writes_a_culane_file_for_every_image(tmp_path: Path) -> None:
    trainer(tmp_path, "culane").test(student(CULaneF1()), batches(), verbose=False)
    assert read_lines(tmp_path / "predictions/clips/a/20.lines.txt", (720, 1280)) == [LANE]
    assert read_lines(tmp_path / "predictions/clips/b/20.lines.txt") == []


def test_writes_tusimple_frames_at_the_labels_rows_with_their_run_time(tmp_path: Path) -> None:
    loader = batches(h_samples=[ROWS, ROWS])
    trainer(tmp_path, "tusimple").test(student(TuSimpleAccuracy()), loader, verbose=False)
    first, second = read_tusimple(tmp_path / "predictions/predictions.json")
    assert (first.raw_file, first.lanes, first.h_samples) == ("clips/a/20.jpg", [LANE], ROWS)
    assert (second.raw_file, second.lanes, second.h_samples) == ("clips/b/20.jpg", [], ROWS)
    assert 0 < first.run_time == second.run_time


def test_predicting_writes_too(tmp_path: Path) -> None:
    trainer(tmp_path, "tusimple").predict(student(TuSimpleAccuracy()), batches())
    assert len(read_tusimple(tmp_path / "predictions/predictions.json")) == 2


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="'culane' or 'tusimple'"):
        LanePredictionWriter(tmp_path, "llamas")  # type: ignore[arg-type]
