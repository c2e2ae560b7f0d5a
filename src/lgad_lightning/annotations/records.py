"""Files that hold the lanes of many images: JSON lines (our own and TuSimple's), COCO, CVAT."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from lgad_lightning.annotations.coco import CocoRecords
from lgad_lightning.annotations.cvat import CvatRecords
from lgad_lightning.annotations.json_lines import JsonLines
from lgad_lightning.annotations.polylines import ImageLanes
from lgad_lightning.lanes.compact_strings import Strings

RECORDS = (".jsonl", ".json", ".xml")
"""The endings of such files."""

_HEAD = 1 << 16  # characters in which a file shows what it is


class Records(Protocol):
    """A file that names images. Opening it looks for their names alone.

    Attributes:
        path: The file.
        names: The images.
    """

    path: Path
    names: Strings

    def record(self, index: int) -> ImageLanes:
        """Reads an image and its lanes.

        Args:
            index: Number of the image, from 0.

        Raises:
            LgadError: If it is garbled, or has changed since the file was opened; names file and place.
        """


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
        return CvatRecords(path, categories)
    if is_coco(path):
        return CocoRecords(path, categories)
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
