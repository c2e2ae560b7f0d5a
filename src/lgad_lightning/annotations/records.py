"""Files that hold the lanes of many images: JSON lines (our own and TuSimple's), COCO, CVAT."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from lgad_lightning.annotations.coco import CocoRecords
from lgad_lightning.annotations.cvat import CvatRecords
from lgad_lightning.annotations.json_files import reading
from lgad_lightning.annotations.json_lines import JsonLines
from lgad_lightning.annotations.polylines import ImageLanes
from lgad_lightning.lanes.compact_strings import Strings

RECORDS = (".jsonl", ".json", ".xml")
"""The endings of such files."""

_HEAD = 1 << 16  # characters that are read to recognise the format of a file


class Records(Protocol):
    """A file that names images. When it is opened, only the names are read.

    Attributes:
        path: The file.
        names: The names of the images.
    """

    path: Path
    names: Strings

    def record(self, index: int) -> ImageLanes:
        """Reads an image and its lanes.

        Args:
            index: Number of the image, from 0.

        Raises:
            LgadError: If the record is not valid, or has changed since the file was opened. The message gives the file
                and the place in it.
        """


def open_records(path: Path, num_slots: int | None = None, categories: Collection[str] | None = None) -> Records:
    """Opens a file with the lanes of many images.

    Args:
        path: JSON lines with `image` or `raw_file`, COCO's JSON, or CVAT's XML.
        num_slots: Number of slots. Larger numbers in `slots` are refused. None or 1: up to 254 are allowed.
        categories: The labels or categories that are lanes. None: all of them.

    Raises:
        LgadError: If the file has none of these formats. The message gives the line, image or annotation.
    """
    if path.suffix.lower() == ".xml":
        return CvatRecords(path, categories)
    if is_coco(path):
        return CocoRecords(path, categories)
    return JsonLines(path, num_slots)


def is_coco(path: Path) -> bool:
    """Whether a file is COCO's JSON and not JSON lines. Its ending and its first line decide."""
    if path.suffix.lower() == ".jsonl":
        return False
    with reading(path), path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(_HEAD)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return not re.search(r'"(raw_file|image)"\s*:', first)
    return isinstance(value, dict) and "images" in value
