"""Reads OpenLane's label files. Only the lanes in the image (`lane_lines[].uv`) are read."""

from pathlib import Path
from typing import Any, NamedTuple

from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import Polyline, polyline
from lgad_lightning.errors import LgadError

KERBS = (20, 21)
"""The categories of the kerbs, left and right."""


class OpenLaneLine(NamedTuple):
    """A line of a label file.

    Attributes:
        points: The points, in pixels.
        category: The kind of the line. 20 and 21 are kerbs.
        place: 1 to 4 for left-left, left, right and right-right of the car, 0 for other places. None if not known.
    """

    points: Polyline
    category: int
    place: int | None


def read_openlane(path: Path) -> list[OpenLaneLine]:
    """Reads the lines of a label file.

    Args:
        path: The file.

    Raises:
        LgadError: If it is not a label file. The message gives the line.
    """
    record = read_json(path)
    entries = record.get("lane_lines") if isinstance(record, dict) else None
    if not isinstance(entries, list):
        raise LgadError(f"{path}: not a label file of OpenLane: expected 'lane_lines'.")
    lines = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: line {number}"
        match entry:
            case {"uv": [list(u), list(v)], "category": int(category)} if len(u) == len(v):
                points = polyline([list(point) for point in zip(u, v, strict=True)], where)
                lines.append(OpenLaneLine(points, category, _place(entry.get("attribute"))))
            case _:
                raise LgadError(f"{where}: expected 'category' and 'uv', as many columns as rows.")
    return lines


def _place(attribute: Any) -> int | None:
    return attribute if type(attribute) is int and 0 <= attribute <= 4 else None
