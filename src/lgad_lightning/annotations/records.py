"""Files that hold the lanes of many images: JSON lines (our own and TuSimple's), COCO, CVAT."""

import json
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lgad_lightning.annotations.coco import coco_lanes
from lgad_lightning.annotations.cvat import read_cvat
from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import ImageLanes, polyline
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_SIZE
from lgad_lightning.lanes.files import iterate_json_lines, tusimple_frame
from lgad_lightning.lanes.lists import check_image_name

RECORDS = (".jsonl", ".json", ".xml")
"""The endings of such files."""

_KEYS = {"image", "lanes", "slots"}
_HEAD = 1 << 16  # characters in which a file shows what it is


def read_records(
    path: Path, num_slots: int | None = None, categories: Collection[str] | None = None
) -> Iterator[ImageLanes]:
    """The images that a file names, and their lanes, one after the other.

    Args:
        path: JSON lines with `image` or `raw_file`, COCO's JSON, or CVAT's XML.
        num_slots: Number of slots, to compare `slots` with; None for any.
        categories: The labels or categories that are lanes; None for all.

    Raises:
        LgadError: If it is none of these; names line, image or annotation.
    """
    if path.suffix.lower() == ".xml":
        found = read_cvat(path, categories)
    elif is_coco(path):
        found = coco_lanes(read_json(path), path, categories)
    else:
        yield from _lines(path, num_slots)  # these name the line
        return
    for number, record in enumerate(found, start=1):
        check_image_name(record.image, f"{path}: image {number}")
        yield record


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


def _lines(path: Path, num_slots: int | None) -> Iterator[ImageLanes]:
    for number, (_, record) in enumerate(iterate_json_lines(path), start=1):
        where = f"{path}:{number}"
        if isinstance(record, dict) and "raw_file" in record:
            frame = tusimple_frame(record, where, TUSIMPLE_SIZE)
            lanes = [polyline(lane.points.tolist(), where) for lane in frame.lanes]
            found = ImageLanes(frame.raw_file, lanes, rows=list(frame.h_samples))
        else:
            found = _own(record, where, num_slots)
        check_image_name(found.image, where)
        yield found


def _own(record: Any, where: str, num_slots: int | None) -> ImageLanes:
    match record:
        case {"image": str(image), "lanes": list(lanes)} if image:
            polylines = [polyline(lane, f"{where}: lane {number}") for number, lane in enumerate(lanes, start=1)]
        case _:
            raise LgadError(
                f'{where}: expected {{"image": "path.jpg", "lanes": [[[x, y], ...], ...]}}, or TuSimple\'s "raw_file", '
                '"lanes" and "h_samples".'
            )
    for key in record.keys() - _KEYS:  # others may hold what a user likes
        if meant := get_close_matches(key.lower(), _KEYS, n=1, cutoff=0.8):
            raise LgadError(f"{where}: the key {key!r} is not known; is {meant[0]!r} meant?")
    slots, most = record.get("slots"), num_slots or 254
    if "slots" in record:
        known = isinstance(slots, list) and all(type(slot) is int and 1 <= slot <= most for slot in slots)
        if not known or len(slots) != len(lanes) or len(set(slots)) < len(slots):
            raise LgadError(
                f"{where}: slots {slots} must be different numbers from 1 to {most}, one for each of the "
                f"{len(lanes)} lanes."
            )
    return ImageLanes(image, polylines, slots)
