"""Reads CurveLanes' `.lines.json`: `{"Lines": [[{"x": "300.5", "y": "589.0"}, ...], ...]}`. Numbers are text."""

from pathlib import Path
from typing import Any

from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import Polyline, polyline
from lgad_lightning.errors import LgadError


def read_curvelanes(path: Path) -> list[Polyline]:
    """Reads the lanes of a `.lines.json`.

    Args:
        path: The file.

    Raises:
        LgadError: If it is not such a file. The message gives the lane.
    """
    record = read_json(path)
    lines = record.get("Lines") if isinstance(record, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, list) for line in lines):
        raise LgadError(f'{path}: expected {{"Lines": [[{{"x": "1.0", "y": "2.0"}}, ...], ...]}}.')
    lanes = []
    for number, line in enumerate(lines, start=1):
        if not all(isinstance(point, dict) and {"x", "y"} <= point.keys() for point in line):
            raise LgadError(f"{path}: a point of lane {number} has not x and y.")
        lanes.append(polyline([[_number(point["x"]), _number(point["y"])] for point in line], f"{path}: lane {number}"))
    return lanes


def _number(value: Any) -> Any:
    """Converts text to a number if possible. Other values are returned as they are."""
    try:
        return float(value) if isinstance(value, str) and len(value) < 40 else value
    except ValueError:
        return value
