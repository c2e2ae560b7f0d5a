"""Reads labelme's JSON of an image: `{"shapes": [{"label", "shape_type", "points"}], "imageHeight", "imageWidth"}`."""

from collections.abc import Collection
from pathlib import Path

from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import (
    ImageLanes,
    check_number,
    middle_of_polygon,
    polyline,
    stated_size,
    wanted,
)
from lgad_lightning.errors import LgadError

_LINES = ("linestrip", "line")


def read_labelme(path: Path, categories: Collection[str] | None = None) -> ImageLanes:
    """Reads the lanes of an image: its lines, and the lines in the middle of its polygons. Ignores other shapes.

    Args:
        path: The file.
        categories: The labels that are lanes. None: all labels.

    Raises:
        LgadError: If it is not a labelme file. The message gives the shape.
    """
    record = read_json(path)
    shapes = record.get("shapes") if isinstance(record, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) and "points" in shape for shape in shapes):
        raise LgadError(f"{path}: not a labelme file: expected 'shapes', each with 'points'.")
    chosen = []
    for number, shape in enumerate(shapes, start=1):
        kind = shape.get("shape_type", "polygon")
        if kind in (*_LINES, "polygon") and wanted(shape.get("label"), categories):
            chosen.append((number, kind, shape["points"]))
    check_number(chosen, str(path))
    lanes = []
    for number, kind, given in chosen:
        points = polyline(given, f"{path}: shape {number}")
        lanes.append(points if kind in _LINES else middle_of_polygon(points, f"{path}: shape {number}"))
    size = stated_size(record.get("imageHeight"), record.get("imageWidth"))
    return ImageLanes(str(record.get("imagePath", "")), lanes, size=size)
