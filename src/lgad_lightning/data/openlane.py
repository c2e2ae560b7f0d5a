from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lgad_lightning.annotations.openlane import KERBS, OpenLaneLine, read_openlane
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.find_files import find_files
from lgad_lightning.data.protocol import OPENLANE
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

PLACES = 4
ONE_CLASS = "To train without places, on lane or not, set num_slots=1."
_SAMPLED = 20  # label files that are checked for places before a training
_FOLDERS: dict[Split, str] = {"train": "training", "val": "validation", "test": "validation"}


class OpenLaneSource(LaneSource):
    """A split of OpenLane, with the lanes in the image. Label maps are drawn from the lines.

    Args:
        root: Folder with `images/`.
        labels: Folder of the labels, like `lane3d_1000`.
        folder: `training` or `validation`.
        num_slots: 4 for the official places, or 1.
        kerbs: Whether kerbs are lanes.
    """

    stroke = 16 / 1920

    def __init__(self, root: Path, labels: Path, folder: str, num_slots: int, kerbs: bool) -> None:
        self.labels, self.kerbs = labels, kerbs
        names = find_files(labels, labels / folder, (".json",))
        for name in names:
            check_image_name(name, labels)
        super().__init__(root, Strings(f"images/{name.removesuffix('.json')}.jpg" for name in names), num_slots)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lines in the image."""
        return [Lane(line.points, image_size) for line in self.lines(index)]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The lanes at the four official places. If several lines have the same place, only the first is used.

        Raises:
            LgadError: If a line has no place.
        """
        slots: list[Lane | None] = [None] * PLACES
        for number, (line, lane) in enumerate(zip(self.lines(index), lanes, strict=True), start=1):
            if line.place is None:
                raise LgadError(
                    f"{self.label_path(index)}: lane {number} has no place: expected 'attribute' from 0 to {PLACES}. "
                    f"{ONE_CLASS}"
                )
            if line.place and slots[line.place - 1] is None:
                slots[line.place - 1] = lane
        return slots

    def label_path(self, index: int) -> Path:
        """The label file of an image."""
        return (self.labels / self.names[index].removeprefix("images/")).with_suffix(".json")

    def lines(self, index: int) -> list[OpenLaneLine]:
        """The lines of an image that are lanes.

        Args:
            index: Number of the image.
        """
        return [line for line in read_openlane(self.label_path(index)) if self.kerbs or line.category not in KERBS]


class OpenLaneDataModule(LaneDataModule):
    """OpenLane's lanes in the image, in the official layout.

    ```
    ROOT/images/{training,validation}/segment-*/<frame>.jpg
    ROOT/lane3d_1000/{training,validation}/segment-*/<frame>.json      or lane3d_300, its smaller part
    ```

    The labels give the place of up to four lines around the car: `attribute` 1 to 4, from left to right. Other lines
    (0) are background in the label map, but they count in the evaluation. Labels without places need `num_slots=1`. The
    test split is the validation split, as in the official evaluation. Its scenarios overlap, so there are only figures
    for all images together.

    Args:
        root: Folder of the data set.
        num_slots: 4, or 1. With 1, all lines are one class.
        labels: Folder of the labels.
        kerbs: Whether kerbs (categories 20 and 21) are lanes.
        options: The other arguments of `LaneDataModule`.

    Example:
        >>> OpenLaneDataModule("/data/OpenLane", input_size=(320, 480)).num_classes
        5
    """

    layout = "openlane"
    markers = ("lane3d_1000", "lane3d_300")
    slot_choices = (1, PLACES)
    protocol = OPENLANE

    def __init__(
        self,
        root: str | Path,
        num_slots: int = PLACES,
        labels: str = "lane3d_1000",
        kerbs: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(root, num_slots=num_slots, **options)
        self.labels = labels
        self.kerbs = kerbs

    def check(self, splits: Iterable[Split] = SPLITS) -> None:
        """Checks that the data set is there, and that about 20 label files of each split give places.

        Args:
            splits: The splits that will be needed.

        Raises:
            LgadError: If something is missing, or if none of the lanes has a place from 1 to 4.
        """
        splits = tuple(splits)
        super().check(splits)
        for split in () if self.packed or self.num_slots == 1 else splits:
            source = self.source(split)
            sample = range(0, len(source), max(1, len(source) // _SAMPLED))
            places: list[int | None] = []
            for index in sample:
                with suppress(LgadError):  # the error is reported when the image is used
                    places += [line.place for line in source.lines(index)]
            if places and not any(places):
                raise LgadError(
                    f"None of the {len(places)} lanes in {len(sample)} label files of {source.labels} ({split}) has a "
                    f"place ('attribute' from 1 to {PLACES}): all of them would be background. {ONE_CLASS}"
                )

    @property
    def reading(self) -> str:
        """A text that says whether kerbs are lanes."""
        return " kerbs" if self.kerbs else ""

    def source(self, split: Split) -> OpenLaneSource:
        """The images and lanes of a split."""
        if not (folder := self.root / self.labels / _FOLDERS[split]).is_dir():
            raise LgadError(
                f"There is no folder {folder}. Expected is OpenLane's layout: images/ and lane3d_1000/ (or "
                f"labels=lane3d_300), with training/ and validation/ in each. {self.advice}"
            )
        return OpenLaneSource(self.root, self.root / self.labels, _FOLDERS[split], self.num_slots, self.kerbs)
