from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule
from lgad_lightning.errors import LgadError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"batch_size": "abc"}, "batch_size='abc'"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"crop_top": -20}, "crop_top=-20"),
        ({"seed": -1}, "seed=-1"),
        ({"input_size": 288}, "must be .height, width."),
        ({"input_size": [288]}, "must be .height, width."),
        ({"input_size": [0, 800]}, "input_size=0"),
        ({"mean": [0.5]}, "3 values each"),
        ({"std": (0, 0, 0)}, "above 0"),
        ({"pixel_range": 0}, "above 0"),
        ({"channels": "RGB"}, "channels='RGB' must be one of rgb, bgr"),
        ({"on_error": "ignore"}, "on_error='ignore' must be one of raise, skip"),
        ({"reduced_decode": "no"}, "reduced_decode='no'"),
        ({"augmentation": {"flip": 0}}, "augmentation="),
    ],
)
def test_settings_that_would_go_wrong_are_refused_at_once(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        CULaneDataModule("nowhere", **setting)


@pytest.mark.parametrize("slots", [0, -2, 255, 300])
def test_numbers_of_slots_that_a_label_map_cannot_hold_are_refused(slots: int) -> None:
    with pytest.raises(LgadError, match="from 1 to 254"):
        LaneFolderDataModule("nowhere", num_slots=slots)


def test_an_odd_number_of_slots_needs_slots_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "train" / "a.lines.txt").write_text("1 2 3 4\n")
    with pytest.raises(LgadError, match="num_slots=3 must be even"):
        LaneFolderDataModule(tmp_path, num_slots=3).open("train")
    assert len(LaneFolderDataModule(tmp_path, num_slots=1).open("train")) == 1  # all lanes are one class
    (tmp_path / "val.jsonl").write_text('{"image": "train/a.png", "lanes": []}\n')
    with pytest.raises(LgadError, match=r"val\.jsonl: .*num_slots=3 must be even"):
        LaneFolderDataModule(tmp_path, num_slots=3).open("val")
    (tmp_path / "val.jsonl").write_text('{"image": "train/a.png", "lanes": [[[1, 2], [3, 4]]], "slots": [1]}\n')
    assert len(LaneFolderDataModule(tmp_path, num_slots=3).open("val")) == 1
