from pathlib import Path
from typing import Any

from lgad_lightning.data.annotated import AnnotatedSource
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.find_files import find_files
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.placement import Placement
from lgad_lightning.data.protocol import CURVELANES
from lgad_lightning.data.source import Split
from lgad_lightning.errors import LgadError

SLOTS = 10
COUNTS = {"train": OfficialCounts(100_000), "val": OfficialCounts(20_000)}
"""From the paper, arXiv 2007.12147."""

_FOLDERS: dict[Split, str] = {"train": "train", "val": "valid", "test": "valid"}


class CurveLanesDataModule(LaneDataModule):
    """CurveLanes in its official layout.

    ```
    ROOT/{train,valid}/images/*.jpg and ROOT/{train,valid}/labels/<image>.lines.json, also Images/ and Labels/
    ```

    The labels of the official test images are not public. The test split is the validation split, as in other projects.
    Images have several sizes. Lanes get their slots by slope, half of the slots on each side.

    Args:
        root: Folder of the data set.
        num_slots: Number of lane slots: an even number up to 10, or 1. With 1, all lanes are one class.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> CurveLanesDataModule("/data/CurveLanes", input_size=(320, 800)).num_classes
        11
    """

    layout = "curvelanes"
    markers = ("train/[lL]abels/*.lines.json", "valid/[lL]abels/*.lines.json")
    slot_choices = (1, 2, 4, 6, 8, SLOTS)
    official = COUNTS
    protocol = CURVELANES

    def __init__(self, root: str | Path, num_slots: int = SLOTS, **options: Any) -> None:
        super().__init__(root, num_slots=num_slots, **options)

    def source(self, split: Split) -> AnnotatedSource:
        """The images and lanes of a split."""
        part = self.root / _FOLDERS[split]
        for images, labels in (("images", "labels"), ("Images", "Labels")):
            if (part / images).is_dir():
                names = find_files(self.root, part / images)
                place = Placement(".lines.json", labels, of=images)
                return AnnotatedSource(self.root, names, self.num_slots, place)
        raise LgadError(
            f"There is no folder {part / 'images'}. Expected is CurveLanes' layout: images/ and labels/ in train/ and "
            f"valid/. {self.advice}"
        )
