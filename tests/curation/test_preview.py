from pathlib import Path

import numpy as np
import pytest

from lgad_lightning.curation.preview import contact_sheet, overlay
from lgad_lightning.data import CULaneDataModule
from lgad_lightning.errors import LgadError


@pytest.mark.parametrize(("split", "across"), [("train", 3), ("val", 1)])
def test_training_is_shown_before_and_after_augmentation(roads: Path, split: str, across: int) -> None:
    sheet = contact_sheet(CULaneDataModule(roads, input_size=(40, 100)), split, count=3)
    assert (sheet.shape, sheet.dtype) == ((3 * 40, across * 100, 3), np.uint8)


def test_there_are_no_more_rows_than_images(roads: Path) -> None:
    assert contact_sheet(CULaneDataModule(roads, input_size=(40, 100)), "val", count=99).shape[0] == 4 * 40


def test_lanes_are_coloured_and_ignored_pixels_grey() -> None:
    image, label = np.zeros((1, 4, 3), np.uint8), np.array([[0, 1, 2, 255]], np.uint8)
    background, one, two, ignored = overlay(image, label)[0].tolist()
    assert background == [0, 0, 0]
    assert one != two
    assert len(set(ignored)) == 1


def test_an_image_that_cannot_be_shown_is_told(roads: Path) -> None:
    with pytest.raises(LgadError, match="crop_top=500"):
        contact_sheet(CULaneDataModule(roads, input_size=(40, 100), crop_top=500), "train")
