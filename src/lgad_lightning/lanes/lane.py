"""The one representation of a lane that data, decoding, metrics and drawing share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CULANE_SIZE = (590, 1640)
TUSIMPLE_SIZE = (720, 1280)
TUSIMPLE_ROWS = tuple(range(160, 711, 10))


class Frame(NamedTuple):
    """How a network input was cut from its image. With it, coordinates are converted back to the original image.

    Attributes:
        height: Rows of the original image.
        width: Columns of the original image.
        crop_top: Rows that were removed from the top before resizing.

    Example:
        >>> Frame(590, 1640, crop_top=240)
        Frame(height=590, width=1640, crop_top=240)
    """

    height: int
    width: int
    crop_top: int = 0


class Lane:
    """A lane: points in pixels of its image, and the size of this image.

    A pixel's centre has integer coordinates, so the image reaches from -0.5 to width - 0.5. Points may lie outside.
    This is a plain class, because Lightning's batch transfer goes into dataclasses and refuses frozen ones.

    Args:
        points: `(N, 2)` x and y in pixels; N may be 0.
        image_size: Height and width of the image in pixels.

    Attributes:
        points: `(N, 2)` float64, read-only.
        image_size: Height and width of the image in pixels.

    Example:
        >>> lane = Lane([[10, 99], [20, 49]], image_size=(100, 200))
        >>> lane.flipped()
        Lane([[189.0, 99.0], [179.0, 49.0]], image_size=(100, 200))
    """

    __slots__ = ("image_size", "points")

    points: NDArray[np.float64]
    image_size: tuple[int, int]

    def __init__(self, points: ArrayLike, image_size: tuple[int, int]) -> None:
        array = np.array(points, dtype=np.float64).reshape(-1, 2)
        array.flags.writeable = False
        self.points = array
        self.image_size = (int(image_size[0]), int(image_size[1]))

    def scaled(self, image_size: tuple[int, int]) -> Lane:
        """The lane in the image resized to another size.

        Args:
            image_size: Height and width of the resized image in pixels.

        Returns:
            A new lane. Pixel centres map to pixel centres, as in image resizing.

        Example:
            >>> Lane([[0.5, 0.5]], (2, 2)).scaled((4, 4))
            Lane([[1.5, 1.5]], image_size=(4, 4))
        """
        if image_size == self.image_size:
            return self
        (height, width), (new_height, new_width) = self.image_size, image_size
        scale = np.array([new_width / width, new_height / height])
        return Lane((self.points + 0.5) * scale - 0.5, image_size)

    def cropped(self, top: int) -> Lane:
        """The lane in the image without its topmost rows.

        Args:
            top: Number of removed rows. Points in them get negative y.

        Example:
            >>> Lane([[5, 250]], (590, 1640)).cropped(240)
            Lane([[5.0, 10.0]], image_size=(350, 1640))
        """
        return Lane(self.points - [0, top], (self.image_size[0] - top, self.image_size[1]))

    def flipped(self) -> Lane:
        """The lane in the image mirrored left to right.

        Example:
            >>> Lane([[0, 7]], (10, 20)).flipped().points.tolist()
            [[19.0, 7.0]]
        """
        return Lane(self.points * [-1, 1] + [self.image_size[1] - 1, 0], self.image_size)

    def bottom_up(self) -> Lane:
        """The lane with its lower end first, as in CULane's files.

        Example:
            >>> Lane([[30, 100], [10, 300]], (720, 1280)).bottom_up().points.tolist()
            [[10.0, 300.0], [30.0, 100.0]]
        """
        turned = len(self.points) > 1 and self.points[0, 1] < self.points[-1, 1]
        return Lane(self.points[::-1], self.image_size) if turned else self

    def x_at(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Columns of the lane in the given image rows, interpolated linearly between its points.

        Args:
            rows: y in pixels.

        Returns:
            x in pixels, NaN in rows above and below the lane.

        Example:
            >>> Lane([[30, 300], [10, 100]], (720, 1280)).x_at([50, 100, 150])
            array([nan, 10., 15.])
        """
        rows = np.asarray(rows, dtype=np.float64)
        if not len(self.points):
            return np.full(rows.shape, np.nan)
        x, y = self.points[np.argsort(self.points[:, 1], kind="stable")].T
        columns: NDArray[np.float64] = np.interp(rows, y, x, left=np.nan, right=np.nan)
        return columns

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lane):
            return NotImplemented
        return self.image_size == other.image_size and np.array_equal(self.points, other.points, equal_nan=True)

    def __hash__(self) -> int:
        return hash((self.image_size, self.points.tobytes()))

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Lane({self.points.tolist()}, image_size={self.image_size})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Lane, (self.points, self.image_size)
