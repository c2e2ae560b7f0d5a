"""Reads COCO's JSON: one file for many images, `{"images", "annotations", "categories"}`."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.json_objects import JsonObjects, objects
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
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name


class CocoRecords:
    """A file of COCO. An image and its annotations are read only when they are needed.

    The lanes of an image are its `segmentation`s. Open lines stay as they are. For polygons, the lane is the line in
    the middle.

    Args:
        path: The file.
        categories: The names of the categories that are lanes. None: all categories.

    Attributes:
        names: The names of the images.

    Raises:
        LgadError: If it is not a COCO file. The message gives the image or annotation, if it is the cause.
    """

    def __init__(self, path: Path, categories: Collection[str] | None = None) -> None:
        self.path, self.categories = path, categories
        self._objects = JsonObjects(path)
        self._images, self._annotations = self._list("images"), self._list("annotations")
        self._categories = self._names_of_categories()
        known = {str(name) for name in self._categories.values()}
        if categories is not None and known and not known & set(categories):
            raise LgadError(
                f"{path}: none of its categories ({', '.join(sorted(known))}) is in categories={list(categories)}."
            )
        if categories is not None and not known and not any(str(name).isdecimal() for name in categories):
            raise LgadError(f"{path}: its categories have no names: give their numbers, not {list(categories)}.")
        names: list[str] = []
        images: dict[int, int] = {}
        columns = (self._objects.column(key, self._images, "image") for key in ("file_name", "id"))
        for index, (name, key) in enumerate(zip(*columns, strict=True)):
            _check_image(name, key, f"{path}: image {index + 1}")
            if images.setdefault(key, index) != index:
                raise LgadError(f"{path}: image {index + 1} has no 'id' of its own.")
            names.append(name)
        self.names = Strings(names)
        of_image = np.array(self._indices(images), np.int32)
        self._order = np.argsort(of_image, kind="stable").astype(np.int32)
        self._bounds = np.searchsorted(of_image[self._order], np.arange(len(names) + 1)).astype(np.int32)

    def record(self, index: int) -> ImageLanes:
        """Reads an image and its lanes.

        Args:
            index: Number of the image, from 0.

        Raises:
            LgadError: If the image is not valid, or has changed since the file was opened. The message gives the image
                or annotation.
        """
        where = f"{self.path}: image {index + 1}"
        image = self._objects.value(int(self._images[index]), where)
        name, key = image.get("file_name"), image.get("id")
        _check_image(name, key, where)
        if name != self.names[index]:
            raise LgadError(f"{where} has another name than when the file was opened.")
        lanes: list[Polyline] = []
        for number in self._order[self._bounds[index] : self._bounds[index + 1]].tolist():
            where = f"{self.path}: annotation {number + 1}"
            annotation = self._objects.value(int(self._annotations[number]), where)
            if annotation.get("image_id") != key:
                raise LgadError(f"{where} has no 'image_id', or another one than when the file was opened.")
            category = annotation.get("category_id")
            if wanted(self._categories.get(category if isinstance(category, int) else None, category), self.categories):
                lanes += _lines(annotation.get("segmentation"), where)
                check_number(lanes, f"{self.path}: image {name}")
        return ImageLanes(self.names[index], lanes, size=stated_size(image.get("height"), image.get("width")))

    def _list(self, key: str) -> NDArray[np.int64]:
        outline = self._objects.outline
        found = objects(outline.get(key)) if isinstance(outline, dict) else None
        if found is None:
            raise LgadError(f"{self.path}: not a COCO file: expected {key!r}, a list of objects.")
        return found

    def _names_of_categories(self) -> dict[Any, Any]:
        names = {}
        numbers = objects(self._objects.outline.get("categories"))
        for number in [] if numbers is None else numbers.tolist():
            category = self._objects.value(number, f"{self.path}: a category")
            if isinstance(category.get("id"), int):
                names[category["id"]] = category.get("name")
        return names

    def _indices(self, images: Mapping[int, int]) -> list[int]:
        """For each annotation, the index of its image.

        Args:
            images: The index of each image, by its id.
        """
        found: list[int] = []
        for key in self._objects.column("image_id", self._annotations, "annotation"):
            if type(key) is not int or key not in images:
                where = f"{self.path}: annotation {len(found) + 1}"
                raise LgadError(f"{where} is of an image {str(key)[:40]!r} that is not listed.")
            found.append(images[key])
        return found


def _check_image(name: Any, key: Any, where: str) -> None:
    if type(key) is not int or not isinstance(name, str) or not name:
        raise LgadError(f"{where} has no 'file_name', or no 'id' of its own.")
    check_image_name(name, where)


def _lines(segmentation: Any, where: str) -> list[Polyline]:
    if isinstance(segmentation, dict):
        raise LgadError(f"{where} is a mask in run lengths: export polygons, or masks as PNG.")
    if not isinstance(segmentation, list) or not segmentation:
        raise LgadError(
            f"{where} has no 'segmentation' with points: export polygons, or choose the lanes among the categories "
            "(categories)."
        )
    check_number(segmentation, where)
    parts = [flat_polyline(part, where) for part in segmentation]
    return _joined([points if is_open(points) else middle_of_polygon(points, where) for points in parts])


def _joined(parts: list[Polyline]) -> list[Polyline]:
    """Joins parts that lie above one another: a lane that a car interrupts. Other parts stay lanes of their own."""
    upward = [part if part[0][1] >= part[-1][1] else part[::-1] for part in parts if part]
    upward.sort(key=lambda part: -part[0][1])
    if len(upward) < 2 or any(below[-1][1] < above[0][1] for below, above in pairwise(upward)):
        return parts
    return [[point for part in upward for point in part]]
