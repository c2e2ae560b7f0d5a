"""Reads LLAMAS' label files. Markers of lanes are reduced to one x for each row, as in the data set's own tools."""

from pathlib import Path
from typing import Any

import numpy as np

from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import Polyline
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.files import is_coordinate

HEIGHT, WIDTH = 717, 1276
_LEAST_HEIGHT, _LEAST_MARKERS = 20, 2  # of a lane; smaller lanes are left out

Marker = tuple[tuple[int, int], tuple[int, int], float]
"""Start and end in pixels, x and y, and the distance of the start from the camera."""


def read_llamas(path: Path) -> dict[str, Polyline]:
    """Reads the lanes of a label file by name, from the car outwards: `l0`, `l1`, ... on the left, `r0`, ... right.

    It follows `label_scripts` in karstenBehrendt/unsupervised_llamas. Lanes with fewer than two markers, or less than
    20 rows high, are left out. The nearest marker is extended to the border of the image. A row has the mean of its
    markers. Rows without a marker are interpolated between the uppermost and the lowest marker.

    Args:
        path: The file.

    Raises:
        LgadError: If it is not a label file. The message gives the lane.
    """
    record = read_json(path)
    entries = record.get("lanes") if isinstance(record, dict) else None
    if not isinstance(entries, list):
        raise LgadError(f"{path}: not a label file of LLAMAS: expected 'lanes'.")
    lanes: dict[str, list[Marker]] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: lane {number}"
        name, markers = (entry.get("lane_id"), entry.get("markers")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or name[:1] not in ("l", "r") or name in lanes or not isinstance(markers, list):
            raise LgadError(f"{where} has no 'markers', or no 'lane_id' of its own like l0 or r1.")
        lanes[name] = [_marker(marker, where) for marker in markers]
    kept = sorted(name for name, markers in lanes.items() if _is_lane(markers))
    found = {}
    for side in ("l", "r"):
        for place, name in enumerate(name for name in kept if name[0] == side):
            found[f"{side}{place}"] = _rows(lanes[name])
    return found


def _marker(marker: Any, where: str) -> Marker:
    try:
        start, end = ((marker[key]["x"], marker[key]["y"]) for key in ("pixel_start", "pixel_end"))
        (x, y), (end_x, end_y), distance = map(_whole, start), map(_whole, end), float(marker["world_start"]["z"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LgadError(f"{where}: a marker has no pixel_start, pixel_end and world_start with numbers.") from error
    if not (0 <= y < HEIGHT and 0 <= end_y < HEIGHT and is_coordinate(distance)):
        raise LgadError(f"{where}: a marker lies outside the image.")
    return (x, y), (end_x, end_y), distance


def _whole(value: Any) -> int:
    number = float(value)
    if not abs(number) < 1e6:
        raise ValueError(value)
    return int(number)


def _is_lane(markers: list[Marker]) -> bool:
    rows = [start[1] for start, _, _ in markers]
    return len(rows) >= _LEAST_MARKERS and max(rows) - min(rows) >= _LEAST_HEIGHT


def _rows(markers: list[Marker]) -> Polyline:
    found: dict[int, list[int]] = {}
    for (x, y), (end_x, end_y), _ in [*_extension(markers), *markers]:
        found.setdefault(y, []).append(x)
        height = y - end_y
        for step in range(height + 1) if height > 2 else ():
            found.setdefault(y - step, []).append(round(x + (end_x - x) / height * step))
    known = sorted(found)
    rows = np.arange(known[-1], known[0] - 1, -1)
    columns = np.interp(rows, known, [sum(found[row]) / len(found[row]) for row in known])
    return [[x, y] for x, y in zip(columns.tolist(), rows.tolist(), strict=True) if x >= 0]


def _extension(markers: list[Marker]) -> list[Marker]:
    """A marker from the nearest one to the border of the image."""
    leaning = [marker for marker in markers if marker[0][0] != marker[1][0] and marker[0][1] != marker[1][1]]
    if not leaning:
        return []
    (x, y), (end_x, end_y), distance = min(leaning, key=lambda marker: marker[2])
    if distance < 0:
        return []
    across = (end_x - x) / (end_y - y)
    at_bottom = x + (HEIGHT - 1 - y) * across
    border = min(max(at_bottom, 0), WIDTH)
    row = HEIGHT - 1 if border == at_bottom else y + (border - x) / across
    if not 0 <= round(row) < HEIGHT:
        return []
    return [((round(border), round(row)), (x, y), distance)]
