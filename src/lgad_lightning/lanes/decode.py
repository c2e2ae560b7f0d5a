"""Turns probability maps into lanes, by the rules of the two protocols."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.lane import CULANE_SIZE, TUSIMPLE_ROWS, Frame, Lane
from lgad_lightning.rebuildable import Rebuildable


class LaneGrid(NamedTuple):
    """What a decoder found for S lane slots in R rows of each of B images.

    Attributes:
        x: `(B, S, R)` columns of the largest values, in pixels of the original image.
        y: `(B, R)` rows, in pixels of the original image.
        score: `(B, S, R)` blurred probabilities at these columns.
        found: `(B, S, R)` bool, true where a lane has a point. A slot has points in two or more rows, or in none.
        existence: `(B, S)` probability of each lane. None if the network has no head for it.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    score: NDArray[np.float32]
    found: NDArray[np.bool_]
    existence: NDArray[np.float32] | None

    def lanes(self, frames: Sequence[Frame]) -> list[list[Lane]]:
        """The lanes of each image in the order of their slots.

        Args:
            frames: How each input was cut from its image.
        """
        points = np.stack([self.x, np.broadcast_to(self.y[:, None], self.x.shape)], axis=3)
        return [
            [Lane(lane[mask], (frame.height, frame.width)) for lane, mask in zip(*image, strict=True) if mask.any()]
            for *image, frame in zip(points, self.found, frames, strict=True)
        ]


class GridPlaces(NamedTuple):
    """The places where a decoder reads the maps of B images, and the same places in the images.

    Attributes:
        y: `(B, R)` float64 rows of the original images.
        map_rows: `(B, R)` float64 rows of the maps, whole numbers. Rows outside are read at the border.
        inside: `(B, R)` bool, whether a row is in the part that was cut from the image.
        x: `(B, W)` float64 column of the original image for each column of the maps.
    """

    y: Tensor
    map_rows: Tensor
    inside: Tensor
    x: Tensor


class GridDecoder(Rebuildable, ABC):
    """The base of decoders that find a lane's column in each row of a grid. A subclass defines the places.

    Args:
        threshold: A point's blurred probability must be above it.
        existence_threshold: A lane's existence must be above it.
        blur: Odd side of the box in pixels of the map.
        max_lanes: Largest number of lanes in an image. Those with the largest mean probability are kept.

    Raises:
        LgadError: If `blur` is not a positive odd number.
    """

    def __init__(self, threshold: float, existence_threshold: float, blur: int, max_lanes: int | None = None) -> None:
        if not isinstance(blur, int | np.integer) or blur < 1 or blur % 2 == 0:
            raise LgadError(f"blur={blur!r}: give an odd number of pixels, 1 for no blur")
        for name, value in (("threshold", threshold), ("existence_threshold", existence_threshold)):
            if not isinstance(value, int | float | np.number):
                raise LgadError(f"{name}={value!r} must be a number")
        self.threshold = threshold
        self.existence_threshold = existence_threshold
        self.blur = blur
        self.max_lanes = max_lanes

    @abstractmethod
    def places(self, frames: Sequence[Frame], map_size: tuple[int, int]) -> GridPlaces:
        """Returns the places where the decoder reads the maps. They are on the CPU, because not all GPUs have float64.

        Args:
            frames: How each of B inputs was cut from its image.
            map_size: Height and width of the maps.
        """

    def grid(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> LaneGrid:
        """Finds the column of each lane in each row.

        Args:
            probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
            existence: `(B, K - 1)` probability of each lane, or None to use the maps alone.
            frames: How each input was cut from its image.
        """
        height, width = probabilities.shape[-2:]
        places = self.places(frames, (height, width))
        peaks, columns = _peaks(probabilities, places.map_rows.long().to(probabilities.device), self.blur)
        found = (peaks > self.threshold) & places.inside.to(probabilities.device).unsqueeze(1)
        if existence is not None:
            found &= (existence > self.existence_threshold).unsqueeze(2)
        found &= found.sum(dim=2, keepdim=True) >= 2
        if self.max_lanes is not None:
            score = (peaks * found).sum(dim=2) / found.sum(dim=2).clamp(min=1)
            rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            found &= (rank < self.max_lanes).unsqueeze(2)
        x = places.x.unsqueeze(1).expand(-1, peaks.shape[1], -1).gather(2, columns.cpu())
        return LaneGrid(
            x.numpy(),
            places.y.numpy(),
            peaks.cpu().numpy(),
            found.cpu().numpy(),
            None if existence is None else existence.float().cpu().numpy(),
        )

    def __call__(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Finds the lanes of each image. The arguments are those of `grid`."""
        return self.grid(probabilities, existence, frames).lanes(frames)


class CULaneDecoder(GridDecoder):
    """Finds lanes by the rule of CULane's official tools: a column in every 20th row from the bottom of the image.

    Maps are blurred by a box. In each row of the grid, the column of the largest value is a point if that value is
    above the threshold. A lane has at least two points, from the bottom up. Coordinates are whole pixels of the
    original image.

    Args:
        threshold: A point's blurred probability must be above it.
        existence_threshold: A lane's existence must be above it.
        rows: Number of rows in the grid.
        spacing: Distance of two rows in an image of 590 rows; it scales with the height of the image.
        blur: Odd side of the box in pixels of the map.

    Example:
        >>> maps = torch.zeros(1, 2, 59, 164)
        >>> maps[0, 1, :, 100] = 1.0
        >>> [[lane]] = CULaneDecoder(blur=1)(maps, None, [Frame(590, 1640)])
        >>> lane.points[:2].tolist()
        [[1009.0, 589.0], [1009.0, 569.0]]
    """

    def __init__(
        self,
        threshold: float = 0.3,
        existence_threshold: float = 0.5,
        rows: int = 18,
        spacing: int = 20,
        blur: int = 9,
    ) -> None:
        super().__init__(threshold, existence_threshold, blur)
        if rows < 2 or spacing <= 0:
            raise LgadError(f"rows={rows!r} and spacing={spacing!r}: give two rows or more, and a distance above 0")
        self.rows = rows
        self.spacing = spacing

    @override
    def places(self, frames: Sequence[Frame], map_size: tuple[int, int]) -> GridPlaces:
        """Every 20th row from the bottom up."""
        map_height, map_width = map_size
        height, width, crop_top = _columns(frames)
        above = torch.arange(self.rows) * self.spacing * height / CULANE_SIZE[0]  # from the bottom
        # The official tools count rows and columns from 1 and round halves up.
        y = _round(height - above) - 1
        map_rows = _round(map_height - above * map_height / (height - crop_top)) - 1
        x = _round((torch.arange(map_width) + 1) * width / map_width) - 1
        return GridPlaces(y, map_rows, y >= crop_top, x)


class TuSimpleDecoder(GridDecoder):
    """Finds lanes by the rule of TuSimple: a column in each of the 56 rows that the benchmark samples.

    It works like `CULaneDecoder`, but at the pixel centres of the given rows, from the top down. If there are too many
    lanes, those with the largest mean probability are kept.

    Args:
        threshold: A point's blurred probability must be above it. Published code uses 0.3 or 0.6.
        existence_threshold: A lane's existence must be above it.
        h_samples: Rows of the original image, from the top down.
        max_lanes: Largest number of lanes in an image. The benchmark allows five.
        blur: Odd side of the box in pixels of the map.

    Example:
        >>> maps = torch.zeros(1, 2, 72, 128)
        >>> maps[0, 1, :, 60] = 1.0
        >>> [[lane]] = TuSimpleDecoder(blur=1)(maps, None, [Frame(720, 1280)])
        >>> lane.points[:2].tolist()
        [[605.0, 160.0], [605.0, 170.0]]
    """

    def __init__(
        self,
        threshold: float = 0.3,
        existence_threshold: float = 0.5,
        h_samples: Sequence[int] = TUSIMPLE_ROWS,
        max_lanes: int = 5,
        blur: int = 9,
    ) -> None:
        super().__init__(threshold, existence_threshold, blur, max_lanes)
        self.h_samples = tuple(h_samples)

    @override
    def places(self, frames: Sequence[Frame], map_size: tuple[int, int]) -> GridPlaces:
        """The pixel centres of the sampled rows."""
        map_height, map_width = map_size
        height, width, crop_top = _columns(frames)
        y = torch.tensor(self.h_samples, dtype=torch.float64).expand(len(frames), -1)
        map_rows = ((y - crop_top + 0.5) * map_height / (height - crop_top)).floor()
        x = _round((torch.arange(map_width) + 0.5) * width / map_width - 0.5)
        return GridPlaces(y, map_rows, (y >= crop_top) & (y < height), x)


def _columns(frames: Sequence[Frame]) -> tuple[Tensor, Tensor, Tensor]:
    """Height, width and crop of the frames, each `(B, 1)`."""
    heights, widths, crops = torch.tensor(frames, dtype=torch.float64).unsqueeze(2).unbind(dim=1)
    return heights, widths, crops


def _round(values: Tensor) -> Tensor:
    return (values + 0.5).floor()


def _peaks(probabilities: Tensor, rows: Tensor, blur: int) -> tuple[Tensor, Tensor]:
    """Finds the largest blurred value and its column in `(B, R)` rows of the maps of all lanes: `(B, K - 1, R)` each.

    Only these rows are blurred. The maps are reflected at the borders without repeating them, as OpenCV does.
    """
    lanes = probabilities[:, 1:]
    batch, classes, height, width = lanes.shape
    radius = blur // 2
    if radius >= min(height, width):
        raise LgadError(f"blur={blur} is too large for maps of {height}x{width}: give the decoder a smaller blur")
    last = height - 1
    near = rows.clamp(0, last).unsqueeze(2) + torch.arange(-radius, radius + 1, device=rows.device)
    near = last - (last - near.abs()).abs()
    index = near.reshape(batch, 1, -1, 1).expand(-1, classes, -1, width)
    band = lanes.gather(2, index).reshape(batch * classes, -1, blur, width).float().mean(dim=2)
    band = F.avg_pool1d(F.pad(band, (radius, radius), mode="reflect"), blur, stride=1)
    peaks, columns = band.max(dim=2)
    return peaks.reshape(batch, classes, -1), columns.reshape(batch, classes, -1)
