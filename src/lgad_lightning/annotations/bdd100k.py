"""BDD100K's lane markings: `lane_{train,val}.json` with poly2d, and the bits of its masks."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.json_files import read_json
from lgad_lightning.annotations.polylines import ImageLanes, Polyline, polyline
from lgad_lightning.errors import LgadError

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
"""By the last three bits of a mask."""

LANES = tuple(name for name in CATEGORIES if name not in ("crosswalk", "road curb"))
_NOTHING, _ACROSS = 255, 1 << 5
_STEPS = 8  # pieces that a Bezier curve becomes


def lane_pixels(mask: NDArray[np.uint8], categories: Collection[str] = LANES) -> NDArray[np.bool_]:
    """Where the markings of some categories are; those across the road, like stop lines, are left out.

    Args:
        mask: `(H, W)`: the category in bits 0 to 2, dashed in bit 4, across the road in bit 5; 255 for no marking.
        categories: Names from `CATEGORIES`.

    Example:
        >>> lane_pixels(np.array([[255, 6, 6 + 32, 4]], np.uint8)).tolist()
        [[False, True, False, False]]
    """
    table = np.array([CATEGORIES[value & 7] in categories and not value & _ACROSS for value in range(256)])
    table[_NOTHING] = False
    return table[mask]


def read_bdd100k(path: Path, categories: Collection[str] = LANES) -> dict[str, ImageLanes]:
    """The markings along the road of every image by its name; each of its two outlines is a polyline.

    Args:
        path: `lane_train.json` or `lane_val.json`.
        categories: Names from `CATEGORIES`.

    Raises:
        LgadError: If it is no such file; names image and label.
    """
    record = read_json(path)
    if not isinstance(record, list):
        raise LgadError(f"{path}: no labels of BDD100K: expected a list of images.")
    found: dict[str, ImageLanes] = {}
    for number, image in enumerate(record, start=1):
        name = image.get("name") if isinstance(image, dict) else None
        labels = image.get("labels") or [] if isinstance(image, dict) else None
        if not isinstance(name, str) or not name or name in found or not isinstance(labels, list):
            raise LgadError(f"{path}: image {number} has no 'labels', or no 'name' of its own.")
        lanes: list[Polyline] = []
        for place, label in enumerate(labels, start=1):
            where = f"{path}: image {number}, label {place}"
            if not isinstance(label, dict) or not isinstance(label.get("poly2d") or [], list):
                raise LgadError(f"{where} has no 'poly2d'.")
            attributes = label.get("attributes")
            direction = attributes.get("laneDirection") if isinstance(attributes, dict) else None
            if str(label.get("category")) in categories and direction != "vertical":
                lanes += [_line(part, where) for part in label.get("poly2d") or []]
        found[name] = ImageLanes(name, lanes)
    return found


def _line(part: Any, where: str) -> Polyline:
    """The points of a poly2d; each C-C-C in its types is a Bezier curve."""
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
