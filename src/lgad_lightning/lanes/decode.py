"""From probability maps to lanes, by the rules of the two protocols."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning.lanes.lane import CULANE_SIZE, TUSIMPLE_ROWS, Frame, Lane
from lgad_lightning.lanes.trace import trace_parts
from lgad_lightning.rebuildable import Rebuildable


def decode_culane(
    probabilities: Tensor,
    existence: Tensor | None,
    frames: Sequence[Frame],
    *,
    threshold: float = 0.3,
    existence_threshold: float = 0.5,
    rows: int = 18,
    spacing: int = 20,
    blur: int = 9,
) -> list[list[Lane]]:
    """Lanes by the rule of CULane's official tools: a column in every 20th row from the bottom of the image.

    Maps are blurred by a box; in each row of the grid the column of the largest value is a point if that value is
    above the threshold. A lane has at least two points. Coordinates are whole pixels of the original image.

    Args:
        probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
        existence: `(B, K - 1)` probability of each lane, or None to look at the maps alone.
        frames: How each input was cut from its image.
        threshold: A point's blurred probability must be above it.
        existence_threshold: A lane's existence must be above it.
        rows: Number of rows in the grid.
        spacing: Distance of two rows in an image of 590 rows; it scales with the height of the image.
        blur: Odd side of the box in pixels of the map.

    Returns:
        The lanes of each image in the order of their classes, points from the bottom up.

    Example:
        >>> maps = torch.zeros(1, 2, 59, 164)
        >>> maps[0, 1, :, 100] = 1.0
        >>> [lane] = decode_culane(maps, None, [Frame(590, 1640)], blur=1)[0]
        >>> lane.points[:2].tolist()
        [[1009.0, 589.0], [1009.0, 569.0]]
    """
    map_height, map_width = probabilities.shape[-2:]
    height, width, crop_top = _columns(frames, probabilities.device)
    above = torch.arange(rows, device=height.device) * spacing * height / CULANE_SIZE[0]  # the grid, from the bottom
    # The official tools count rows and columns from 1 and round halves up.
    y = _round(height - above) - 1
    map_rows = _round(map_height - above * map_height / (height - crop_top)) - 1
    peaks, peak_columns = _peaks(probabilities, map_rows, blur)
    x = _round((peak_columns + 1) * width.unsqueeze(1) / map_width) - 1

    found = (peaks > threshold) & (y >= crop_top).unsqueeze(1) & _existing(existence, existence_threshold)
    return _lanes(x, y, found, frames)


def decode_tusimple(
    probabilities: Tensor,
    existence: Tensor | None,
    frames: Sequence[Frame],
    *,
    threshold: float = 0.3,
    existence_threshold: float = 0.5,
    h_samples: Sequence[int] = TUSIMPLE_ROWS,
    max_lanes: int = 5,
    blur: int = 9,
) -> list[list[Lane]]:
    """Lanes by the rule of TuSimple: a column in each of the 56 rows that the benchmark samples.

    As `decode_culane`, at the pixel centres of the given rows. Of more lanes than allowed, those with the largest
    mean probability stay.

    Args:
        probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
        existence: `(B, K - 1)` probability of each lane, or None to look at the maps alone.
        frames: How each input was cut from its image.
        threshold: A point's blurred probability must be above it; published codes have 0.3 or 0.6.
        existence_threshold: A lane's existence must be above it.
        h_samples: Rows of the original image, from the top down.
        max_lanes: Most lanes in an image; the benchmark allows five.
        blur: Odd side of the box in pixels of the map.

    Returns:
        The lanes of each image in the order of their classes, points from the top down.

    Example:
        >>> maps = torch.zeros(1, 2, 72, 128)
        >>> maps[0, 1, :, 60] = 1.0
        >>> [lane] = decode_tusimple(maps, None, [Frame(720, 1280)], blur=1)[0]
        >>> lane.points[:2].tolist()
        [[605.0, 160.0], [605.0, 170.0]]
    """
    map_height, map_width = probabilities.shape[-2:]
    height, width, crop_top = _columns(frames, probabilities.device)
    y = torch.tensor(h_samples, dtype=torch.float64, device=height.device).expand(len(frames), -1)
    map_rows = ((y - crop_top + 0.5) * map_height / (height - crop_top)).floor()
    peaks, peak_columns = _peaks(probabilities, map_rows, blur)
    x = _round((peak_columns + 0.5) * width.unsqueeze(1) / map_width - 0.5)

    inside = (y >= crop_top) & (y < height)
    found = (peaks > threshold) & inside.unsqueeze(1) & _existing(existence, existence_threshold)
    found &= found.sum(dim=2, keepdim=True) >= 2
    score = (peaks * found).sum(dim=2) / found.sum(dim=2).clamp(min=1)
    rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return _lanes(x, y, found & (rank < max_lanes).unsqueeze(2), frames)


class CULaneDecoder(Rebuildable):
    """`decode_culane` with its arguments fixed: the decoder to give to a lane module.

    Args:
        threshold: A point's blurred probability must be above it.
        existence_threshold: A lane's existence must be above it.
        rows: Number of rows in the grid.
        spacing: Distance of two rows in an image of 590 rows; it scales with the height of the image.
        blur: Odd side of the box in pixels of the map.

    Example:
        >>> CULaneDecoder()(torch.zeros(2, 5, 36, 100), None, [Frame(590, 1640)] * 2)
        [[], []]
    """

    def __init__(
        self,
        threshold: float = 0.3,
        existence_threshold: float = 0.5,
        rows: int = 18,
        spacing: int = 20,
        blur: int = 9,
    ) -> None:
        self.threshold = threshold
        self.existence_threshold = existence_threshold
        self.rows = rows
        self.spacing = spacing
        self.blur = blur

    def __call__(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Lanes of each image of a batch, see `decode_culane`."""
        return decode_culane(
            probabilities,
            existence,
            frames,
            threshold=self.threshold,
            existence_threshold=self.existence_threshold,
            rows=self.rows,
            spacing=self.spacing,
            blur=self.blur,
        )


class TuSimpleDecoder(Rebuildable):
    """`decode_tusimple` with its arguments fixed: the decoder to give to a lane module.

    Args:
        threshold: A point's blurred probability must be above it.
        existence_threshold: A lane's existence must be above it.
        h_samples: Rows of the original image, from the top down.
        max_lanes: Most lanes in an image; the benchmark allows five.
        blur: Odd side of the box in pixels of the map.

    Example:
        >>> TuSimpleDecoder()(torch.zeros(1, 7, 45, 80), None, [Frame(720, 1280)])
        [[]]
    """

    def __init__(
        self,
        threshold: float = 0.3,
        existence_threshold: float = 0.5,
        h_samples: Sequence[int] = TUSIMPLE_ROWS,
        max_lanes: int = 5,
        blur: int = 9,
    ) -> None:
        self.threshold = threshold
        self.existence_threshold = existence_threshold
        self.h_samples = tuple(h_samples)
        self.max_lanes = max_lanes
        self.blur = blur

    def __call__(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Lanes of each image of a batch, see `decode_tusimple`."""
        return decode_tusimple(
            probabilities,
            existence,
            frames,
            threshold=self.threshold,
            existence_threshold=self.existence_threshold,
            h_samples=self.h_samples,
            max_lanes=self.max_lanes,
            blur=self.blur,
        )


class MaskDecoder(Rebuildable):
    """Lanes of binary segmentation: the connected parts of what is more probably lane than not, see `trace_parts`.

    Args:
        threshold: A pixel is lane if its probability of any lane is above it.

    Example:
        >>> maps = torch.zeros(1, 2, 59, 164)
        >>> maps[0, 1, :, 100] = 1.0
        >>> [[lane]] = MaskDecoder()(maps, None, [Frame(590, 1640)])
        >>> lane.points[0].tolist()
        [1004.5, 584.5]
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def __call__(self, probabilities: Tensor, existence: Tensor | None, frames: Sequence[Frame]) -> list[list[Lane]]:
        """Lanes of each image of a batch.

        Args:
            probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
            existence: Not used.
            frames: How each input was cut from its image.
        """
        masks = (probabilities[:, 1:].sum(dim=1) > self.threshold).cpu().numpy()
        return [[_uncut(lane, frame) for lane in trace_parts(mask)] for mask, frame in zip(masks, frames, strict=True)]


def _columns(frames: Sequence[Frame], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Height, width and crop of the frames, each `(B, 1)`."""
    heights, widths, crops = torch.tensor(frames, dtype=torch.float64, device=device).unsqueeze(2).unbind(dim=1)
    return heights, widths, crops


def _round(values: Tensor) -> Tensor:
    return (values + 0.5).floor()


def _existing(existence: Tensor | None, threshold: float) -> Tensor:
    """Which lanes exist, to be combined with `(B, K - 1, R)`."""
    return torch.tensor(True) if existence is None else (existence > threshold).unsqueeze(2)


def _peaks(probabilities: Tensor, rows: Tensor, blur: int) -> tuple[Tensor, Tensor]:
    """Largest blurred value and its column in the given `(B, R)` rows of the maps of all lanes: `(B, K - 1, R)` each.

    Only those rows are blurred. The box reflects at the borders without repeating them, as OpenCV's does.
    """
    lanes = probabilities[:, 1:]
    batch, classes, height, width = lanes.shape
    radius = blur // 2
    last = height - 1
    near = rows.clamp(0, last).long().unsqueeze(2) + torch.arange(-radius, radius + 1, device=rows.device)
    near = last - (last - near.abs()).abs()
    index = near.reshape(batch, 1, -1, 1).expand(-1, classes, -1, width)
    band = lanes.gather(2, index).reshape(batch * classes, -1, blur, width).float().mean(dim=2)
    band = F.avg_pool1d(F.pad(band, (radius, radius), mode="reflect"), blur, stride=1)
    peaks, columns = band.max(dim=2)
    return peaks.reshape(batch, classes, -1), columns.reshape(batch, classes, -1)


def _lanes(x: Tensor, y: Tensor, found: Tensor, frames: Sequence[Frame]) -> list[list[Lane]]:
    """Lanes of each image: the found points of each class where there are two or more."""
    points = torch.stack([x, y.unsqueeze(1).expand_as(x)], dim=3).cpu().numpy()
    masks = found.cpu().numpy()
    return [
        [
            Lane(lane[mask], (frame.height, frame.width))
            for lane, mask in zip(image, image_masks, strict=True)
            if mask.sum() >= 2
        ]
        for image, image_masks, frame in zip(points, masks, frames, strict=True)
    ]


def _uncut(lane: Lane, frame: Frame) -> Lane:
    """A lane of the network's input in the original image."""
    cut = lane.scaled((frame.height - frame.crop_top, frame.width))
    return Lane(cut.points + np.array([0, frame.crop_top]), (frame.height, frame.width))
