"""The parts of an exported graph. They use only operators that ONNX Runtime, TensorRT and OpenVINO all know.

They use no MaxUnpool, no GridSample, no maxima with indices, no 64-bit floating point.
"""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.export.resize import OpenCvResize
from lgad_lightning.lanes import Frame, GridDecoder


class ExportableNetwork(nn.Module):
    """A copy of a lane network in evaluation mode, with plain outputs. The student itself is not changed.

    Args:
        network: The student's network.
        half: Whether to compute in 16 bits. Inputs and outputs have 32 bits.
    """

    def __init__(self, network: nn.Module, half: bool = False) -> None:
        super().__init__()
        self.network = deepcopy(network).eval()
        self.half_precision = half
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.MaxPool2d) and child.return_indices:
                    setattr(parent, name, PoolWithPlaces(child))
        if half:
            self.network.half()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps `(B, 3, H, W)` to logits `(B, K, H, W)` and, with an existence head, existence logits `(B, K - 1)`."""
        logits, existence = self.network(image.half() if self.half_precision else image)
        outputs = (logits,) if existence is None else (logits, existence)
        return tuple(output.float() for output in outputs)


class PoolWithPlaces(nn.Module):
    """A 2 x 2 max-pooling that returns a mask of the maxima instead of indices. Of equal values, the first counts.

    Args:
        pool: The pooling that it replaces.

    Raises:
        LgadError: If this pooling is not 2 x 2.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        if (pool.kernel_size, pool.stride, pool.padding, pool.dilation) != (2, 2, 0, 1):
            raise LgadError(f"{pool} with indices cannot be exported: only MaxPool2d(2, return_indices=True) can.")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `(B, C, 2 H, 2 W)` to maxima `(B, C, H, W)` and a mask `(B, C, 2 H, 2 W)`."""
        pooled = F.max_pool2d(x, 2)
        order = torch.tensor([[4.0, 3.0], [2.0, 1.0]], dtype=x.dtype).repeat(x.shape[2] // 2, x.shape[3] // 2)
        rank = torch.where(x == _doubled(pooled), order, 0.0)
        return pooled, rank == _doubled(F.max_pool2d(rank, 2))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class FramePreprocessing(nn.Module):
    """`Preprocessing` for frames of one size. It crops, resizes and normalises, with the same numbers as a result.

    Args:
        preprocessing: The preprocessing of the student, for frames of this size.
        frame_size: Height and width of the frames.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, preprocessing: Preprocessing, frame_size: tuple[int, int]) -> None:
        super().__init__()
        self.crop_top = preprocessing.crop_top
        self.resize = OpenCvResize((frame_size[0] - self.crop_top, frame_size[1]), preprocessing.input_size)
        self.swap = preprocessing.channels == "rgb"
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
        self.register_buffer("scale", preprocessing.pixel_range / 255 / std)
        self.register_buffer("shift", mean / std)

    def forward(self, frame: Tensor) -> Tensor:
        """Maps `(H, W, 3)` uint8, blue-green-red, to `(1, 3, height, width)`."""
        pixels: Tensor = self.resize(frame.float()[self.crop_top :])  # first: TensorRT can only convert uint8
        if self.swap:
            pixels = torch.cat([pixels[2:], pixels[1:2], pixels[:1]])
        return (pixels * self.scale - self.shift).unsqueeze(0)


class GridDecoding(nn.Module):
    """A decoder for frames of one size. It computes the same numbers as `GridDecoder.grid`.

    Args:
        decoder: The decoder of the student.
        frame: How the inputs are cut from their frames.
        map_size: Height and width of the maps.

    Attributes:
        rows: The rows of the frame that the decoder reads.
    """

    near_rows: Tensor
    columns: Tensor
    x: Tensor
    inside: Tensor

    def __init__(self, decoder: GridDecoder, frame: Frame, map_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = map_size
        places = decoder.places([frame], map_size)
        self.rows = places.y[0].tolist()
        self.blur = decoder.blur
        self.threshold = decoder.threshold
        self.existence_threshold = decoder.existence_threshold
        self.max_lanes = decoder.max_lanes
        radius = decoder.blur // 2
        rows = places.map_rows[0].clamp(0, height - 1).long().unsqueeze(1) + torch.arange(-radius, radius + 1)
        self.register_buffer("near_rows", _reflected(rows, height).flatten())
        self.register_buffer("columns", _reflected(torch.arange(-radius, width + radius), width))
        self.register_buffer("x", places.x[0].float())
        self.register_buffer("inside", places.inside[0])

    def forward(self, logits: Tensor, existence_logits: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Finds the column of each lane in each row.

        Args:
            logits: `(B, K, H, W)`.
            existence_logits: `(B, K - 1)`. None if the network has no existence head.

        Returns:
            `(B, K - 1, R)` columns in pixels of the frame, scores, and whether the lane has a point there. Then the
            existence of the lanes, `(B, K - 1)`. Without an existence head, it is 1 for lanes with points.
        """
        maps = logits.softmax(dim=1)[:, 1:]
        band = maps.index_select(2, self.near_rows)
        band = band.reshape(*maps.shape[:2], len(self.rows), self.blur, maps.shape[3]).mean(dim=3)
        band = F.avg_pool2d(band.index_select(3, self.columns), (1, self.blur), stride=1)
        score, column = band.max(dim=3)
        valid = (score > self.threshold) & self.inside
        if existence_logits is not None:
            valid = valid & (existence_logits.sigmoid() > self.existence_threshold).unsqueeze(2)
        valid = valid & (valid.int().sum(dim=2, keepdim=True) >= 2)
        if self.max_lanes is not None:
            valid = valid & (_rank(score, valid) < self.max_lanes).unsqueeze(2)
        existence = valid.float().amax(dim=2) if existence_logits is None else existence_logits.sigmoid()
        return self.x[column], score, valid, existence


def _reflected(places: Tensor, size: int) -> Tensor:
    """Reflects places beyond the borders at the borders, without repeating these."""
    last = size - 1
    return last - (last - places.abs()).abs()


def _rank(score: Tensor, valid: Tensor) -> Tensor:
    """Counts for each lane how many lanes of the image rank before it, `(B, S)`: by mean score, then by their order."""
    mean = (score * valid).sum(dim=2) / valid.int().sum(dim=2).clamp(min=1)
    number = torch.arange(mean.shape[1])
    earlier = number.unsqueeze(0) < number.unsqueeze(1)
    mine, other = mean.unsqueeze(2), mean.unsqueeze(1)
    return ((other > mine) | ((other == mine) & earlier)).int().sum(dim=2)
