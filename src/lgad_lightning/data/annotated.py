"""Sources for your own data: one annotation for each image, or one file for many images."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.curvelanes import read_curvelanes
from lgad_lightning.annotations.labelme import read_labelme
from lgad_lightning.annotations.polylines import ImageLanes, check_size, to_lanes
from lgad_lightning.annotations.records import Records
from lgad_lightning.data.masks import MaskValues, read_own_mask
from lgad_lightning.data.placement import Placement
from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, read_lines, trace_parts, trace_slots, tusimple_slots
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name


class AnnotatedSource(LaneSource):
    """Images that each have a file of lanes, a mask, or both.

    If there are masks, label maps are read from them. Otherwise, they are drawn from the lanes. If there are no files
    of lanes, lanes are traced from the masks: one for each class, or with one slot one for each connected part.

    Args:
        root: Folder of the data set.
        names: Path of each image below the root.
        num_slots: Number of lane slots. Without masks, it must be even or 1.
        lines: Where the files of lanes are. None if there are none.
        masks: Where the masks are. None if there are none.
        mask_values: The meaning of the values in the masks, see `read_own_mask`.
        categories: The labels of labelme that are lanes. None: all labels.
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
        """The lanes in the file of an image, or the lanes traced from its mask."""
        if self.lines is not None:
            return read_lanes(self._path(self.lines, index), image_size, self.categories)
        label = self._label(index, image_size)
        if self.num_slots == 1:
            return trace_parts(label == 1)
        return [lane for lane in trace_slots(label, self.num_slots) if lane is not None]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Slots by slope, from the middle outwards, as for TuSimple. Traced lanes have the slots of the mask."""
        if self.lines is not None or not lanes:
            return tusimple_slots(lanes, self.num_slots)
        return trace_slots(self._label(index, lanes[0].image_size), self.num_slots)

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The mask as a label map. None if there are no masks."""
        return None if self.masks is None else self._label(index, image_size)

    def label_path(self, index: int) -> Path:
        """The mask of an image. If there are no masks: its file of lanes."""
        return self._path(self.lines if self.masks is None else self.masks, index)

    def files(self, index: int) -> list[Path]:
        """The image, and its mask and file of lanes if there are such."""
        return [*super().files(index), *([self._path(self.lines, index)] if self.lines is not None else [])]

    def _path(self, place: Placement | Strings | None, index: int) -> Path:
        if isinstance(place, Placement):
            return place.path(self.root, self.names[index])
        assert place is not None
        return self.root / place[index]

    def _label(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8]:
        return read_own_mask(self._path(self.masks, index), self.mask_values, self.num_slots, image_size)


class RecordsSource(LaneSource):
    """Images and lanes from files that each describe many images (see `open_records`).

    Args:
        root: Folder of the data set.
        files: The files. The first and the last image of each are read immediately.
        num_slots: Number of lane slots. It must be even or 1, unless every record has `slots`.
        folder: Called with the name of the first image of each file, and the path of the file. It returns the folder
            below the root (with a final slash) where the names in this file start.
        chosen: The numbers of the images in the split, counted over all files. None: all images.
        names: The paths of the images below the root, if they differ from the names in the files.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[Records],
        num_slots: int,
        folder: Callable[[str, Path], str] | None = None,
        chosen: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self._files = files
        counts = [len(file.names) for file in files]
        numbers = np.arange(sum(counts), dtype=np.int32) if chosen is None else np.array(chosen, np.int32)
        starts = np.cumsum([0, *counts])
        self._file_of = np.searchsorted(starts[1:], numbers, side="right").astype(np.int32)
        self._record_of = (numbers - starts[self._file_of]).astype(np.int32)
        if names is None:
            places = [folder(file.names[0], file.path) if folder and len(file.names) else "" for file in files]
            every = [f"{place}{name}" for file, place in zip(files, places, strict=True) for name in file.names]
            names = Strings(every[number] for number in numbers)
        super().__init__(root, names, num_slots)
        self._last: tuple[int, ImageLanes] | None = None
        for file, count in zip(files, counts, strict=True):
            for index in {0, count - 1} if count else ():
                self._check_slots(file.record(index), f"{file.path}: ")

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes of an image."""
        found = self._record(index)
        check_size(found.size, image_size, f"{self.label_path(index)}: the annotation of {self.names[index]}")
        return to_lanes(found.lanes, image_size)

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots in the record. If it has none, slots by slope."""
        found = self._record(index)
        self._check_slots(found, f"{self.label_path(index)}: {self.names[index]}: ")
        if found.slots is None:
            return tusimple_slots(lanes, self.num_slots)
        chosen = dict(zip(found.slots, lanes, strict=True))
        return [chosen.get(slot) for slot in range(1, self.num_slots + 1)]

    def label_path(self, index: int) -> Path:
        """The file that names the image."""
        return self._files[int(self._file_of[index])].path

    def _record(self, index: int) -> ImageLanes:
        """The annotations of an image. The last ones are kept in memory."""
        if self._last is None or self._last[0] != index:
            self._last = index, self._files[int(self._file_of[index])].record(int(self._record_of[index]))
        return self._last[1]

    def _check_slots(self, found: ImageLanes, where: str) -> None:
        if found.slots is None:
            check_even(self.num_slots, f"{where}without slots for the lanes, ")


def read_lanes(path: Path, image_size: tuple[int, int], categories: Collection[str] | None = None) -> list[Lane]:
    """Reads the lanes from the file of one image.

    Args:
        path: `.lines.txt`, `.lines.json` (CurveLanes) or `.json` (labelme).
        image_size: Height and width of the image.
        categories: The labels of labelme that are lanes. None: all labels.

    Raises:
        LgadError: If the file cannot be read. The message gives the file and the place in it.
    """
    if path.name.lower().endswith(".lines.json"):
        return [Lane(points, image_size) for points in read_curvelanes(path)]  # as they are, for the official score
    if path.suffix.lower() == ".json":
        found = read_labelme(path, categories)
        check_size(found.size, image_size, str(path))
        return to_lanes(found.lanes, image_size)
    return read_lines(path, image_size)


def check_even(num_slots: int, where: str = "") -> None:
    """Refuses odd numbers of slots, because each side needs half of the slots. One slot for all lanes is allowed.

    Args:
        num_slots: Number of slots.
        where: The beginning of the error message.

    Raises:
        LgadError: If the number is odd and not 1.
    """
    if num_slots % 2 and num_slots != 1:
        raise LgadError(
            f"{where}num_slots={num_slots} must be even: lanes get their slots by their slope, half of the slots on "
            "either side. With 1, all lanes are one class; with JSON lines that give the slots, any number will do."
        )
