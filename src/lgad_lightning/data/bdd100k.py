from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.bdd100k import CATEGORIES, LANES, BDD100KRecords, lane_pixels
from lgad_lightning.annotations.outlines import middle_lines
from lgad_lightning.annotations.polylines import to_lanes
from lgad_lightning.data.annotated import RecordsSource
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.find_files import find_files
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.pixels import decode_mask, read_bytes
from lgad_lightning.data.settings import check_choice
from lgad_lightning.data.source import LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, trace_parts
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

COUNTS = {"train": OfficialCounts(70_000), "val": OfficialCounts(10_000)}
"""From the paper, arXiv 1805.04687."""

LABELS = {"masks": "masks", "polygons": "polygons", "centres": "polygons"}
"""The kinds of labels, and the folder of each."""

_FOLDERS: dict[Split, str] = {"train": "train", "val": "val", "test": "val"}
_WIDEST = 1 / 32  # largest width of a marking, as a share of the image's width: 40 of 1280 px


class BDD100KSource(LaneSource):
    """A split of BDD100K with its bit masks. In the label map, the outlines of the markings are the lanes.

    Args:
        root: Folder with `images/` and `labels/`.
        names: Path of each image below the root.
        masks: Folder of the masks.
        categories: The kinds of markings that are lanes.
    """

    traced = True

    def __init__(self, root: Path, names: Sequence[str], masks: Path, categories: Sequence[str]) -> None:
        self.masks, self.categories = masks, categories
        super().__init__(root, Strings(names), 1)

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The mask: 1 for the pixels of markings, otherwise 0."""
        path = self.label_path(index)
        mask = decode_mask(read_bytes(path), path, image_size)
        if mask.ndim != 2:
            raise LgadError(f"{path} is no bit mask of one channel: give labels/lane/masks, not the colour maps.")
        return lane_pixels(mask, self.categories).astype(np.uint8)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The connected parts of the mask."""
        mask = self.mask(index, image_size)
        return [] if mask is None else trace_parts(mask > 0)

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Not called, because there is only one slot, which holds all lanes."""
        return lanes[:1] or [None]

    def label_path(self, index: int) -> Path:
        """The mask of an image."""
        return self.masks / f"{PurePosixPath(self.names[index]).stem}.png"


class BDD100KCentres(RecordsSource):
    """A split of BDD100K with its polygons. A lane is the line in the middle of the two outlines of a marking."""

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lines in the middle of the markings (see `middle_lines`)."""
        outlines = [lane.points.tolist() for lane in super().lanes(index, image_size)]
        return to_lanes(middle_lines(outlines, _WIDEST * image_size[1]), image_size)


class BDD100KDataModule(LaneDataModule):
    """The lane markings of BDD100K as one class, in the official layout of the data set.

    ```
    ROOT/images/100k/{train,val}/*.jpg
    ROOT/labels/lane/masks/{train,val}/*.png               bit masks (labels="masks")
    ROOT/labels/lane/polygons/lane_{train,val}.json        poly2d (labels="polygons" or "centres")
    ```

    The annotation of a marking is its two outlines. `masks` have thin outlines. With `polygons`, the outlines are drawn
    with `stroke`, so that narrow markings are filled. With `centres`, the line in the middle of both is drawn, as in
    SAD. The labels of the official test images are not public, so the test split is the validation split. Pixels are
    scored. SAD's accuracy and IoU are `image_recall` and `image_iou` of `PixelF1`.

    Args:
        root: Folder of the data set.
        labels: `masks`, `polygons` or `centres`.
        categories: The kinds of markings that are lanes. By default, all except crosswalks and kerbs. Lines across the
            road are never lanes.
        stroke: Thickness of a drawn line, as a share of the width.
        test_stroke: The thickness in validation and test. None: `stroke`. SAD uses 8 and 2 of 1280 px.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> BDD100KDataModule("/data/bdd100k", input_size=(360, 640)).num_classes
        2
    """

    layout = "bdd100k"
    markers = ("labels/lane",)
    slot_choices = (1,)
    official = COUNTS

    def __init__(
        self,
        root: str | Path,
        labels: str = "masks",
        categories: Sequence[str] = LANES,
        stroke: float = 8 / 1280,
        test_stroke: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, num_slots=1, **options)
        check_choice("labels", labels, tuple(LABELS))
        for name in categories:
            check_choice("categories", name, CATEGORIES)
        self.labels = labels
        self.categories = tuple(categories)
        self.stroke = stroke
        self.test_stroke = stroke if test_stroke is None else test_stroke

    @property
    def reading(self) -> str:
        """The kind of labels and the categories, as text."""
        return f" {self.labels} {self.categories}"

    def source(self, split: Split) -> LaneSource:
        """The images and labels of a split."""
        folder, place = _FOLDERS[split], self.root / "labels/lane"
        images = self.root / "images/100k" / folder
        labels = place / LABELS[self.labels]
        labels /= folder if self.labels == "masks" else f"lane_{folder}.json"
        if missing := [path for path in (images, labels) if not path.exists()]:
            raise LgadError(
                f"There is no {missing[0]}. Expected is BDD100K's layout: images/100k/ and labels/lane/masks/ or "
                f"labels/lane/polygons/. {self.advice}"
            )
        names = find_files(self.root, images)
        for name in names:
            check_image_name(name, images)
        if self.labels == "masks":
            return BDD100KSource(self.root, names, labels, self.categories)
        records = BDD100KRecords(labels, self.categories)
        found = {name: index for index, name in enumerate(records.names)}
        chosen = [found.get(PurePosixPath(name).name, -1) for name in names]
        if -1 in chosen:
            first, count = names[chosen.index(-1)], chosen.count(-1)
            raise LgadError(f"{labels} has no labels for {first} and {count - 1} more images.")
        kind = BDD100KCentres if self.labels == "centres" else RecordsSource
        return kind(self.root, [records], 1, chosen=chosen, names=Strings(names))

    def open(self, split: Split) -> LaneSource:
        """The images and labels of a split. Lines are drawn with `stroke` or `test_stroke`, also if they are packed."""
        source = super().open(split)
        if self.labels != "masks":
            source.stroke = self.stroke if split == "train" else self.test_stroke
        return source
