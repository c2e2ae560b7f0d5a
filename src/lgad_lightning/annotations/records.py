"""Files that hold the lanes of many images: JSON lines (our own and TuSimple's), COCO, CVAT."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from lgad_lightning.annotations.coco import coco_lanes
from lgad_lightning.annotations.cvat import read_cvat
from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.json_lines import JsonLines
from lgad_lightning.annotations.polylines import ImageLanes
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

RECORDS = (".jsonl", ".json", ".xml")
"""The endings of such files."""

_HEAD = 1 << 16  # characters in which a file shows what it is


class KeptRecords:
    """What was read of a file as a whole, kept as text.

    Args:
        path: The file.
        records: The images and their lanes; gone through once.
    """

    def __init__(self, path: Path, records: Iterable[ImageLanes]) -> None:
        self.path = path
        texts: list[str] = []
        names: list[str] = []
        for number, (image, *lanes) in enumerate(records, start=1):
            check_image_name(image, f"{path}: image {number}")
            texts.append(json.dumps(lanes, separators=(",", ":")))
            names.append(image)
        self.names, self._texts = Strings(names), Strings(texts)

    def record(self, index: int) -> ImageLanes:
        """An image and its lanes."""
        lanes, slots, size = json.loads(self._texts[index])
        return ImageLanes(self.names[index], lanes, slots, size and tuple(size))


Records = JsonLines | KeptRecords
"""A file that names images (`path`, `names`), and what it holds of each (`record`)."""


def open_records(path: Path, num_slots: int | None = None, categories: Collection[str] | None = None) -> Records:
    """The images that a file names, and their lanes.

    Args:
        path: JSON lines with `image` or `raw_file`, COCO's JSON, or CVAT's XML.
        num_slots: Number of slots, to compare `slots` with; None for any.
        categories: The labels or categories that are lanes; None for all.

    Raises:
        LgadError: If it is none of these; names line, image or annotation.
    """
    if path.suffix.lower() == ".xml":
        return KeptRecords(path, read_cvat(path, categories))
    if is_coco(path):
        return KeptRecords(path, coco_lanes(read_json(path), path, categories))
    return JsonLines(path, num_slots)


def is_coco(path: Path) -> bool:
    """Whether a file is JSON over several lines, or begins as COCO's does: not one value a line."""
    if path.suffix.lower() == ".jsonl":
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(_HEAD)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return '"raw_file"' not in first and '"image"' not in first
    return isinstance(value, dict) and "images" in value
