"""OpenCV's resizing as a part of a graph. The pixels are the same to the last bit."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OpenCvResize(nn.Module):
    """`cv2.resize` of an 8-bit image with `INTER_LINEAR`.

    OpenCV computes with integers, first along the rows, then along the columns. Its weights are multiples of 1/2048. It
    cuts off bits after each step. This module does the same in 32-bit floating point. All values are multiples of a
    power of two with at most 24 bits, so each step is exact. All values are below 32768, so an engine that computes in
    16 bits does not overflow. In 16 bits, some pixels differ by a grey level.

    An image of exactly twice the height and width is averaged over 2 x 2 pixels, as OpenCV does it.

    Args:
        size: Height and width of the images.
        target: Height and width of the result.
    """

    rows: Tensor
    vertical: Tensor
    coarse: Tensor
    fine: Tensor
    horizontal: Tensor
    weights: Tensor

    def __init__(self, size: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__()
        self.halves = size == (2 * target[0], 2 * target[1])
        places, weights = _neighbours(size[0], target[0])
        rows, vertical = torch.unique(places, return_inverse=True)
        self.register_buffer("rows", rows)
        self.register_buffer("vertical", vertical)
        # A weight has two parts, because a product with all of its bits would not be exact.
        self.register_buffer("coarse", (weights // 32).view(2, -1, 1, 1) / 2048)
        self.register_buffer("fine", (weights % 32).view(2, -1, 1, 1) / 32)
        places, weights = _neighbours(size[1], target[1])
        self.register_buffer("horizontal", places)
        self.register_buffer("weights", weights.view(2, -1, 1, 1) / 16)

    def forward(self, image: Tensor) -> Tensor:
        """`(H, W, 3)` float32 with whole numbers from 0 to 255, to `(3, height, width)`."""
        if self.halves:
            return (F.avg_pool2d(image.permute(2, 0, 1), 2) + 0.5).floor()
        rows = image.index_select(0, self.rows)
        pixels = rows.flatten(1).t().reshape(-1, 3, len(self.rows))  # gathering along the first axis is fastest
        left, right = (pixels.index_select(0, places) for places in self.horizontal)
        mixed = (left * self.weights[0] + right * self.weights[1]).floor().permute(2, 0, 1)
        upper, lower = (self._weighted(mixed.index_select(0, self.vertical[side]), side) for side in (0, 1))
        return ((upper + lower) / 4 + 0.5).floor().permute(2, 0, 1)

    def _weighted(self, values: Tensor, side: int) -> Tensor:
        """Multiplies values (128 per grey level) by their weights. Returns quarters of a grey level, rounded down."""
        return (values * self.coarse[side] + (values * self.fine[side]).floor() / 2048).floor()


def _neighbours(size: int, target: int) -> tuple[Tensor, Tensor]:
    """Finds for each value along an axis its two source places and their weights in 2048ths, both `(2, target)`."""
    centres = ((torch.arange(target, dtype=torch.float64) + 0.5) * (1 / (target / size)) - 0.5).float()
    places = centres.floor()
    share = centres - places
    weights = torch.stack([1 - share, share]).mul(2048).round()
    return torch.stack([places, places + 1]).clamp(0, size - 1).long(), weights
