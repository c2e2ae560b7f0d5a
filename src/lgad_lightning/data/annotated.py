"""Sources of one's own data: an annotation for each image, or one file for many."""

import json
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.curvelanes import read_curvelanes
from lgad_lightning.annotations.labelme import read_labelme
from lgad_lightning.annotations.polylines import ImageLanes, check_size, to_lanes
from lgad_lightning.data.masks import MaskValues, read_own_mask
from lgad_lightning.data.placement import Placement
from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, read_lines, trace_parts, trace_slots, tusimple_slots
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name


class AnnotatedSource(LaneSource):
    """Images with a file of lanes, a mask, or both, for each.

    Label maps are read from the masks where there are some, and drawn from the lanes where there are none. Lanes are
    traced from the masks where there are no files of lanes: by class, or with one slot by connected part.

    Args:
        root: Folder of the data set.
        names: Path of each image below it.
        num_slots: Number of lane slots; even, or 1, unless there are masks.
        lines: Where the files of lanes lie; None if there are none.
        masks: Where the masks lie; None if there are none.
        mask_values: What the masks hold, see `read_own_mask`.
        categories: The labels that are lanes, of labelme; None for all.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        num_slots: int,
        lines: Placement | Strings | None,
        masks: Placement | Strings | None = None,
        mask_values: MaskValues | None = None,
        categories: Collection[str] | None = None,
    ) -> None:
        for name in names:
            check_image_name(name, root)
        if masks is None:
            check_even(num_slots)
        super().__init__(root, Strings(names), num_slots)
        self.lines, self.masks, self.mask_values, self.categories = lines, masks, mask_values, categories
        self.traced = lines is None

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes in an image's file, or those that its mask shows."""
        if self.lines is not None:
            return read_lanes(self._path(self.lines, index), image_size, self.categories)
        label = self._label(index, image_size)
        if self.num_slots == 1:
            return trace_parts(label == 1)
        return [lane for lane in trace_slots(label, self.num_slots) if lane is not None]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Slots by slope, from the middle outwards, as for TuSimple; those of the mask for lanes that are traced."""
        if self.lines is not None or not lanes:
            return tusimple_slots(lanes, self.num_slots)
        return trace_slots(self._label(index, lanes[0].image_size), self.num_slots)

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The mask as a label map, where there are masks."""
        return None if self.masks is None else self._label(index, image_size)

    def label_path(self, index: int) -> Path:
        """The mask, or the file of lanes where there are no masks."""
        return self._path(self.lines if self.masks is None else self.masks, index)

    def files(self, index: int) -> list[Path]:
        """The image, the mask and the file of lanes."""
        return [*super().files(index), *([self._path(self.lines, index)] if self.lines is not None else [])]

    def _path(self, place: Placement | Strings | None, index: int) -> Path:
        if isinstance(place, Placement):
            return place.path(self.root, self.names[index])
        assert place is not None
        return self.root / place[index]

    def _label(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8]:
        return read_own_mask(self._path(self.masks, index), self.mask_values, self.num_slots, image_size)


class RecordsSource(LaneSource):
    """Images and lanes named in files that hold many: see `read_records`.

    Args:
        root: Folder of the data set.
        records: What the files name, each with its file; gone through once, and kept as text.
        num_slots: Number of lane slots; even, or 1, unless every record has `slots`.
        folder: Gives the folder below the root, with a slash, that the names start from, for the first of them.
    """

    def __init__(
        self,
        root: Path,
        records: Iterable[tuple[Path, ImageLanes]],
        num_slots: int,
        folder: Callable[[str, Path], str] | None = None,
    ) -> None:
        texts: list[str] = []
        names: list[str] = []
        numbers: dict[Path, int] = {}
        owners = array("i")
        place = ""
        for path, record in records:
            if record.slots is None:
                check_even(num_slots, f"{path}: without slots for the lanes, ")
            if not names and folder is not None:
                place = folder(record.image, path)
            texts.append(json.dumps(record[1:4], separators=(",", ":")))
            names.append(f"{place}{record.image}")
            owners.append(numbers.setdefault(path, len(numbers)))
        self._records = Strings(texts)
        self._paths = list(numbers)
        self._path_of = np.array(owners, np.int32)
        super().__init__(root, Strings(names), num_slots)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes of an image."""
        lanes, _, size = json.loads(self._records[index])
        check_size(size and tuple(size), image_size, f"{self.label_path(index)}: the annotation of {self.names[index]}")
        return to_lanes(lanes, image_size)

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots that the record gives, or those that the slopes give."""
        given = json.loads(self._records[index])[1]
        if given is None:
            return tusimple_slots(lanes, self.num_slots)
        chosen = dict(zip(given, lanes, strict=True))
        return [chosen.get(slot) for slot in range(1, self.num_slots + 1)]

    def label_path(self, index: int) -> Path:
        """The file that names the image."""
        return self._paths[int(self._path_of[index])]


def read_lanes(path: Path, image_size: tuple[int, int], categories: Collection[str] | None = None) -> list[Lane]:
    """The lanes in the file of one image.

    Args:
        path: `.lines.txt`, `.lines.json` (CurveLanes) or `.json` (labelme).
        image_size: Height and width of the image.
        categories: The labels that are lanes, of labelme; None for all.

    Raises:
        LgadError: If it cannot be read; names file and place.
    """
    if path.name.endswith(".lines.json"):
        return to_lanes(read_curvelanes(path), image_size)
    if path.suffix == ".json":
        found = read_labelme(path, categories)
        check_size(found.size, image_size, str(path))
        return to_lanes(found.lanes, image_size)
    return read_lines(path, image_size)


def check_even(num_slots: int, where: str = "") -> None:
    """Refuses numbers of slots of which no half lies on either side; one slot is for all lanes.

    Args:
        num_slots: Number of slots.
        where: The beginning of the message.

    Raises:
        LgadError: If it is odd and not 1.
    """
    if num_slots % 2 and num_slots != 1:
        raise LgadError(
            f"{where}num_slots={num_slots} must be even: lanes get their slots by their slope, half of the slots on "
            "either side. With 1, all lanes are one class; with JSON lines that give the slots, any number will do."
        )
