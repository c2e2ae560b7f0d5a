"""The result of all readers, and the checks that they share."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import cv2
import numpy as np

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.lanes.files import is_coordinate
from lgad_lightning.lanes.raster import apart
from lgad_lightning.lanes.trace import trace_lane

Polyline = list[list[float]]
"""Points, x and y in pixels."""

_LARGEST = 16384  # pixels on a side of a polygon
_CANVAS = 4096  # pixels on a side of the canvas where it is filled; larger polygons are scaled down
_LONGEST = 10_000  # points of a lane
_LONGER = 1.5  # times as long as its middle part is a line of four points, at least
_MOST = 128  # lanes of an image; polygons take time, and no road has half of this number


class ImageLanes(NamedTuple):
    """The annotations of an image.

    Attributes:
        image: The name of the image in the file.
        lanes: Polylines in pixels of the image.
        slots: The slot of each lane, from 1. None: the slots are given by slope.
        size: Height and width of the image in the file. None if the file has no size.
    """

    image: str
    lanes: list[Polyline]
    slots: list[int] | None = None
    size: tuple[int, int] | None = None


def polyline(points: Any, where: str) -> Polyline:
    """Checks that points are a polyline, and converts them.

    Args:
        points: A list of pairs of finite numbers.
        where: The file and place, for the error message.

    Raises:
        LgadError: If it is not such a list, or if it has more points than any lane needs.
    """
    pairs = isinstance(points, list) and set(map(type, points)) <= {list} and set(map(len, points)) <= {2}
    if not pairs:
        raise LgadError(f"{where}: expected a list of points [x, y].")
    if len(points) > _LONGEST:
        raise LgadError(f"{where}: {len(points)} points; no lane needs more than {_LONGEST}.")
    values = [value for point in points for value in point]
    if set(map(type, values)) <= {int, float}:  # many at once: a list may have millions
        with suppress(OverflowError):
            array = np.array(points, np.float64).reshape(-1, 2)
            if (np.abs(array) <= np.finfo(np.float32).max).all():
                found: Polyline = array.tolist()
                return found
    wrong = next(value for value in values if not is_coordinate(value))
    raise LgadError(f"{where}: {str(wrong)[:40]!r} is no finite number.")


def flat_polyline(values: Any, where: str) -> Polyline:
    """Converts `[x, y, x, y, ...]` to a polyline. `where` and the errors are as for `polyline`."""
    if not isinstance(values, list) or len(values) % 2:
        raise LgadError(f"{where}: expected numbers in pairs, x y x y ...")
    return polyline([values[place : place + 2] for place in range(0, len(values), 2)], where)


def middle_of_polygon(points: Polyline, where: str) -> Polyline:
    """Computes the line in the middle of a polygon around a lane: fills the polygon and traces it (`trace_lane`).

    Args:
        points: The corners. Fewer than three are returned as they are.
        where: The file and place, for the error message.

    Raises:
        LgadError: If the polygon is larger than any image.

    Example:
        >>> middle_of_polygon([[0, 0], [4, 0], [4, 100], [0, 100]], "a")[-1]
        [2.0, 0.0]
    """
    if len(points) < 3:
        return points
    array = np.array(points)
    corner, far = array.min(axis=0), array.max(axis=0)
    if (far - corner).max() > _LARGEST:
        raise LgadError(f"{where}: a polygon of more than {_LARGEST} pixels.")
    corner = np.floor(corner)
    scale = max(1.0, float((far - corner).max()) / _CANVAS)
    width, height = (np.ceil((far - corner) / scale).astype(int) + 1).tolist()
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [np.rint((array - corner) / scale).astype(np.int32)], 1)
    lane = trace_lane(canvas > 0)
    return [] if lane is None else (lane.points * scale + corner).tolist()


def is_open(points: Polyline) -> bool:
    """Whether points are an open line and not a polygon. Along a line, y never changes direction.

    An edge of one height at an end is that of a polygon. So are four points whose ends are not much farther apart than
    the two in the middle: two long sides with tilted ends.

    Example:
        >>> is_open([[0, 0], [1, 5], [2, 9]]), is_open([[0, 0], [4, 0], [4, 9], [0, 9]])
        (True, False)
    """
    array = np.array(points).reshape(-1, 2)
    if len(array) == 4 and np.hypot(*(array[3] - array[0])) < _LONGER * np.hypot(*(array[2] - array[1])):
        return False
    steps = np.diff(array[:, 1])
    onward = steps * np.sign(steps.sum())
    return bool((onward >= 0).all() and (onward[:1] > 0).all() and (onward[-1:] > 0).all())


def wanted(label: Any, categories: Collection[str] | None) -> bool:
    """Whether shapes with this label are lanes. Without categories, all shapes are lanes."""
    return categories is None or str(label) in categories


def check_number(lanes: Sequence[object], where: str) -> None:
    """Refuses too many lanes, because they would take too much time.

    Args:
        lanes: The lanes of an image, or their shapes.
        where: The file and place.

    Raises:
        LgadError: If there are more than 128.
    """
    if len(lanes) > _MOST:
        raise LgadError(f"{where} has {len(lanes)} lanes; no road has so many. Which labels are lanes (categories)?")


def check_size(stated: tuple[int, int] | None, image_size: tuple[int, int], where: str) -> None:
    """Refuses an annotation that was made on an image of another size.

    Args:
        stated: Height and width in the annotation. None if it has no size.
        image_size: Height and width of the image.
        where: The file and place.

    Raises:
        LgadError: If the sizes differ.
    """
    if stated is not None and stated != image_size:
        raise LgadError(
            f"{where} was made on an image of {stated[1]} x {stated[0]} pixels, the image has "
            f"{image_size[1]} x {image_size[0]}: its lanes would lie elsewhere. Was one of them resized?"
        )


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Height and width, if both are whole numbers above 0. Otherwise None."""
    if type(height) is int and type(width) is int and height > 0 and width > 0:
        return height, width
    return None


def to_lanes(polylines: Sequence[Polyline], image_size: tuple[int, int]) -> list[Lane]:
    """Converts polylines to lanes of an image. A point that was clicked twice counts once (`apart`)."""
    return [Lane(apart(np.array(points, np.float64).reshape(-1, 2)), image_size) for points in polylines]
