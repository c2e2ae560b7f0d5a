"""Reads BDD100K's lane markings from `lane_{train,val}.json` (poly2d) or from the bits of the masks."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.json_objects import JsonObjects, objects
from lgad_lightning.annotations.polylines import ImageLanes, Polyline, polyline
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

CATEGORIES = (
    "crosswalk",
    "double other",
    "double white",
    "double yellow",
    "road curb",
    "single other",
    "single white",
    "single yellow",
)
"""The categories of markings. The last three bits of a mask are the index in this tuple."""

LANES = tuple(name for name in CATEGORIES if name not in ("crosswalk", "road curb"))
_NOTHING, _ACROSS = 255, 1 << 5
_STEPS = 8  # number of pieces for a Bezier curve


def lane_pixels(mask: NDArray[np.uint8], categories: Collection[str] = LANES) -> NDArray[np.bool_]:
    """The pixels with markings of some categories. Markings across the road, like stop lines, are left out.

    Args:
        mask: `(H, W)`. Bits 0 to 2 are the category, bit 4 means dashed, bit 5 across the road. 255 is no marking.
        categories: Names from `CATEGORIES`.

    Example:
        >>> lane_pixels(np.array([[255, 6, 6 + 32, 4]], np.uint8)).tolist()
        [[False, True, False, False]]
    """
    table = np.array([CATEGORIES[value & 7] in categories and not value & _ACROSS for value in range(256)])
    table[_NOTHING] = False
    return table[mask]


class BDD100KRecords:
    """The markings along the road in all images. Each marking has two outlines, and each outline is a polyline.

    An image is read only when it is needed.

    Args:
        path: `lane_train.json` or `lane_val.json`.
        categories: Names from `CATEGORIES`.

    Attributes:
        names: The names of the images.

    Raises:
        LgadError: If it is not such a file. The message gives the image, if it is the cause.
    """

    def __init__(self, path: Path, categories: Collection[str] = LANES) -> None:
        self.path, self.categories = path, categories
        self._objects = JsonObjects(path)
        numbers = objects(self._objects.outline)
        if numbers is None:
            raise LgadError(f"{path}: not a label file of BDD100K: expected a list of images.")
        self._images = numbers
        names: dict[str, None] = {}
        for index, name in enumerate(self._objects.column("name", numbers, "image")):
            where = f"{path}: image {index + 1}"
            if not isinstance(name, str) or not name or name in names:
                raise LgadError(f"{where} has no 'name' of its own.")
            check_image_name(name, where)
            names[name] = None
        self.names = Strings(names)

    def record(self, index: int) -> ImageLanes:
        """Reads an image and its markings.

        Args:
            index: Number of the image, from 0.

        Raises:
            LgadError: If the image is not valid, or has changed since the file was opened. The message gives the image
                and the label.
        """
        where = f"{self.path}: image {index + 1}"
        image = self._objects.value(int(self._images[index]), where)
        if image.get("name") != self.names[index]:
            raise LgadError(f"{where} has no 'name', or another one than when the file was opened.")
        labels = image.get("labels") or []
        if not isinstance(labels, list):
            raise LgadError(f"{where} has no list of 'labels'.")
        lanes: list[Polyline] = []
        for place, label in enumerate(labels, start=1):
            if not isinstance(label, dict) or not isinstance(label.get("poly2d") or [], list):
                raise LgadError(f"{where}, label {place} has no 'poly2d'.")
            attributes = label.get("attributes")
            direction = attributes.get("laneDirection") if isinstance(attributes, dict) else None
            if str(label.get("category")) in self.categories and direction != "vertical":
                lanes += [_line(part, f"{where}, label {place}") for part in label.get("poly2d") or []]
        return ImageLanes(self.names[index], lanes)


def _line(part: Any, where: str) -> Polyline:
    """The points of a poly2d. Each CCC in its `types` is a Bezier curve."""
    if not isinstance(part, dict) or not isinstance(part.get("types", ""), str):
        raise LgadError(f"{where}: expected 'vertices' and 'types'.")
    points, types = polyline(part.get("vertices"), where), part.get("types", "")
    line: Polyline = []
    place = 0
    while place < len(points):
        if line and types[place : place + 3] == "CCC" and place + 3 <= len(points):
            line += _curve([line[-1], *points[place : place + 3]])
            place += 3
        else:
            line.append(points[place])
            place += 1
    return line


def _curve(corners: Polyline) -> Polyline:
    t = np.linspace(0, 1, _STEPS + 1)[1:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curve: Polyline = (weights @ np.array(corners)).tolist()
    return curve
