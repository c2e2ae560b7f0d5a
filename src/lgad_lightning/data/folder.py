import json
import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, read_lines, tusimple_slots
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.files import is_coordinate, iterate_json_lines
from lgad_lightning.lanes.lists import check_image_name

_KEYS = {"image", "lanes", "slots"}
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class FolderSource(LaneSource):
    """Images with a `.lines.txt` beside each, in a folder and the folders in it.

    Hidden files and folders are left out: other systems leave a `._0.jpg` beside a `0.jpg`. A folder that can be
    reached in several ways, by links, is read once.

    Args:
        root: Folder of the data set.
        split: Name of the folder in it.
        num_slots: Even number of lane slots, half of them on either side of the middle.
    """

    def __init__(self, root: Path, split: str, num_slots: int) -> None:
        _check_even(num_slots)
        names = [path.relative_to(root).as_posix() for path in sorted(find_images(root / split))]
        for name in names:
            check_image_name(name, root)
        super().__init__(root, Strings(names), num_slots)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes in the `.lines.txt` beside an image."""
        return read_lines(self.label_path(index), image_size)

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Slots by slope, from the middle outwards, as for TuSimple."""
        return tusimple_slots(lanes, self.num_slots)


class JsonLinesSource(LaneSource):
    """Images and lanes named in one file: `{"image": "a/1.jpg", "lanes": [[[x, y], ...], ...], "slots": [2, 3]}`.

    `slots`, from 1, says which lane has which slot; without it the slope says it, as for TuSimple.

    Args:
        root: Folder that the images' paths start from.
        path: The file.
        num_slots: Number of lane slots; even, unless every line has `slots`.
    """

    def __init__(self, root: Path, path: Path, num_slots: int) -> None:
        self.path = path
        lines, images = [], []
        for number, (line, record) in enumerate(iterate_json_lines(path), start=1):
            _check_record(record, f"{path}:{number}", num_slots)
            lines.append(line)
            images.append(record["image"])
        self._lines = Strings(lines)
        super().__init__(root, Strings(images), num_slots)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The lanes in the image's line."""
        return [Lane(points, image_size) for points in json.loads(self._lines[index])["lanes"]]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots that the line gives, or those that the slopes give."""
        given = json.loads(self._lines[index]).get("slots")
        if given is None:
            return tusimple_slots(lanes, self.num_slots)
        chosen = dict(zip(given, lanes, strict=True))
        return [chosen.get(slot) for slot in range(1, self.num_slots + 1)]

    def label_path(self, index: int) -> Path:
        """The file of all lanes."""
        return self.path


class LaneFolderDataModule(LaneDataModule):
    """One's own images with polylines, of any size and with any number of slots.

    For each split either a folder of images or a file of lines:

    ```
    ROOT/train/**/<image>.jpg, .png, ... with <image>.lines.txt beside it: one lane a line, x y x y ...
    ROOT/train.jsonl: {"image": "path/from/root.jpg", "lanes": [[[x, y], ...], ...], "slots": [2, 3]}
    ```

    and likewise `val` and `test`. Scored as CULane is (`CULaneF1`), which wants the images' size.

    Args:
        root: Folder of the data set.
        num_slots: Number of lane slots; even, half of them on either side, unless the lines give `slots`.
        stroke: Thickness of a lane in the label map, as a share of its width.
        options: Everything else of `LaneDataModule`.

    Example:
        >>> LaneFolderDataModule("my_roads", num_slots=2, input_size=(256, 512)).num_classes
        3
    """

    layout = "folder"
    markers = tuple(f"{split}{kind}" for split in SPLITS for kind in ("", ".jsonl"))

    def __init__(self, root: str | Path, num_slots: int = 4, stroke: float = 16 / 1640, **options: Any) -> None:
        super().__init__(root, num_slots=num_slots, **options)
        self.stroke = stroke

    def source(self, split: Split) -> LaneSource:
        """The images and lanes of a split."""
        path = self.root / f"{split}.jsonl"
        if path.is_file():
            return JsonLinesSource(self.root, path, self.num_slots)
        if (self.root / split).is_dir():
            return FolderSource(self.root, split, self.num_slots)
        raise LgadError(
            f"{self.root} has neither a folder {split}/ (images, each with its .lines.txt) nor a file {split}.jsonl. "
            f"{self.advice}"
        )

    def open(self, split: Split) -> LaneSource:
        """The images and labels of a split, lanes to be drawn with `stroke`."""
        source = super().open(split)
        source.stroke = self.stroke
        return source


def find_images(folder: Path) -> Iterator[Path]:
    """The images in a folder and the folders in it, each folder once however many links lead to it."""
    seen: set[Path] = set()
    waiting = [folder]
    for start in waiting:
        for parent, folders, names in os.walk(start):
            if (place := Path(parent).resolve()) in seen:
                folders.clear()
                continue
            seen.add(place)
            yield from (Path(parent, name) for name in names if name[0] != "." and Path(name).suffix.lower() in IMAGES)
            folders[:] = sorted(name for name in folders if name[0] != ".")
            waiting += [path for name in folders if (path := Path(parent, name)).is_symlink()]


def _check_record(record: Any, where: str, num_slots: int) -> None:
    match record:
        case {"image": str(image), "lanes": list(lanes)} if image and all(map(_is_polyline, lanes)):
            pass
        case _:
            raise LgadError(f'{where}: expected {{"image": "path.jpg", "lanes": [[[x, y], ...], ...]}}.')
    check_image_name(image, where)
    for key in record.keys() - _KEYS:  # others may hold what a user likes
        if meant := get_close_matches(key.lower(), _KEYS, n=1, cutoff=0.8):
            raise LgadError(f"{where}: the key {key!r} is not known; is {meant[0]!r} meant?")
    if "slots" not in record:
        _check_even(num_slots, f"{where}: without slots for the lanes, ")
        return
    slots = record["slots"]
    known = isinstance(slots, list) and all(type(slot) is int and 1 <= slot <= num_slots for slot in slots)
    if not known or len(slots) != len(lanes) or len(set(slots)) < len(slots):
        raise LgadError(
            f"{where}: slots {slots} must be different numbers from 1 to {num_slots}, one for each of the "
            f"{len(lanes)} lanes."
        )


def _check_even(num_slots: int, where: str = "") -> None:
    if num_slots % 2:
        raise LgadError(
            f"{where}num_slots={num_slots} must be even: lanes get their slots by their slope, half of the slots on "
            "either side. With a JSON-lines file that gives the slots, any number will do."
        )


def _is_polyline(lane: object) -> bool:
    return isinstance(lane, list) and all(
        isinstance(point, list) and len(point) == 2 and all(map(is_coordinate, point)) for point in lane
    )
