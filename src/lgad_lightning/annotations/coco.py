"""COCO's JSON: one file for many images, `{"images", "annotations", "categories"}`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from lgad_lightning.annotations.polylines import (
    ImageLanes,
    Polyline,
    check_number,
    flat_polyline,
    is_open,
    middle_of_polygon,
    stated_size,
    wanted,
)
from lgad_lightning.errors import LgadError


def coco_lanes(record: Any, path: Path, categories: Collection[str] | None = None) -> list[ImageLanes]:
    """The lanes of every image: its `segmentation`s, open lines as they are and of polygons the middle.

    Args:
        record: The value of the file.
        path: The file, for error messages.
        categories: The names of the categories that are lanes; None for all.

    Raises:
        LgadError: If it is no file of COCO; names image or annotation.
    """
    images, names = _list(record, "images", path), {}
    for entry in record.get("categories") or []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            names[entry["id"]] = entry.get("name")
    found: dict[int, ImageLanes] = {}
    for number, image in enumerate(images, start=1):
        key, name = image.get("id"), image.get("file_name")
        if type(key) is not int or not isinstance(name, str) or not name or key in found:
            raise LgadError(f"{path}: image {number} has no 'file_name', or no 'id' of its own.")
        found[key] = ImageLanes(name, [], size=stated_size(image.get("height"), image.get("width")))
    for number, annotation in enumerate(_list(record, "annotations", path), start=1):
        where = f"{path}: annotation {number}"
        key, category = annotation.get("image_id"), annotation.get("category_id")
        if type(key) is not int or key not in found:
            raise LgadError(f"{where} is of an image {str(key)[:40]!r} that is not listed.")
        if wanted(names.get(category if isinstance(category, int) else None, category), categories):
            found[key].lanes.extend(_lines(annotation.get("segmentation"), where))
            check_number(found[key].lanes, f"{path}: image {found[key].image}")
    return list(found.values())


def _lines(segmentation: Any, where: str) -> list[Polyline]:
    if isinstance(segmentation, dict):
        raise LgadError(f"{where} is a mask in run lengths: export polygons, or masks as PNG.")
    if not isinstance(segmentation, list):
        raise LgadError(f"{where} has no 'segmentation' with points.")
    check_number(segmentation, where)
    parts = [flat_polyline(part, where) for part in segmentation]
    return [points if is_open(points) else middle_of_polygon(points, where) for points in parts]


def _list(record: Any, key: str, path: Path) -> list[dict[str, Any]]:
    entries = record.get(key) if isinstance(record, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise LgadError(f"{path}: no file of COCO: expected {key!r}, a list of objects.")
    return entries
