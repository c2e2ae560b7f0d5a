"""Converts the pixels of an image to the input of a network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lgad_lightning.data.settings import check_choice, check_whole
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame


@dataclass(frozen=True)
class Preprocessing:
    """How an image is cropped, resized and normalised. Training and prediction use the same values.

    Args:
        input_size: Height and width of the network's input in pixels.
        crop_top: Rows to cut off the top of every image, before resizing.
        mean: Mean of the channels, in units of `pixel_range`.
        std: Deviation of the channels, in units of `pixel_range`.
        channels: Order of the channels.
        pixel_range: Value of a white pixel before normalising.
        reduced_decode: Decode JPEGs at half size. They must be at least twice the input size. This is faster, but the
            pixels differ a little.

    Raises:
        LgadError: If a setting is out of its range.

    Example:
        >>> preprocessing = Preprocessing(input_size=(208, 976), crop_top=240)
        >>> pixels, frame = preprocessing.cut(np.zeros((590, 1640, 3), np.uint8))
        >>> pixels.shape, frame
        ((208, 976, 3), Frame(height=590, width=1640, crop_top=240))
        >>> preprocessing.normalise(torch.from_numpy(pixels)[None]).shape
        torch.Size([1, 3, 208, 976])
    """

    input_size: tuple[int, int] = (288, 800)
    crop_top: int = 0
    mean: Sequence[float] = (0.485, 0.456, 0.406)
    std: Sequence[float] = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    pixel_range: float = 1.0
    reduced_decode: bool = False

    def __post_init__(self) -> None:
        for name in ("input_size", "mean", "std"):  # lists from YAML and JSON
            object.__setattr__(self, name, _as_tuple(getattr(self, name)))
        lists = self.input_size, self.mean, self.std
        if [len(values) for values in lists] != [2, 3, 3]:
            raise LgadError(f"input_size, mean and std are {lists}: they must be (height, width), and 3 values each.")
        for side in self.input_size:
            check_whole("input_size", side, 1)
        check_whole("crop_top", self.crop_top, 0)
        numbers: tuple[Any, ...] = (*self.mean, *self.std, self.pixel_range)
        if not all(isinstance(value, Real) and isfinite(value) for value in numbers):
            raise LgadError(f"mean={self.mean}, std={self.std} and pixel_range={self.pixel_range} must be numbers.")
        for name in ("mean", "std"):  # numbers of NumPy could not be read from a checkpoint
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        object.__setattr__(self, "pixel_range", float(self.pixel_range))
        if min(*self.std, self.pixel_range) <= 0:
            raise LgadError(f"std={self.std} and pixel_range={self.pixel_range} must be above 0.")
        check_choice("channels", self.channels, ("rgb", "bgr"))
        check_choice("reduced_decode", self.reduced_decode, (True, False))

    @property
    def geometry(self) -> str:
        """Input size and crop, as text. The label maps depend only on these settings of a preprocessing."""
        return f"{self.input_size} {self.crop_top}"

    def cut(
        self, image: NDArray[np.uint8], size: tuple[int, int] | None = None, name: str = "the image"
    ) -> tuple[NDArray[np.uint8], Frame]:
        """Crops an image and resizes it to the input size.

        Args:
            image: `(H, W, 3)`.
            size: Full height and width of the image, if it was decoded at half size. Otherwise None.
            name: The name of the image in an error message.

        Returns:
            The `(height, width, 3)` pixels at the input size, and how they were cut from the image.

        Raises:
            LgadError: If no rows are left after the crop.
        """
        height, width = size or image.shape[:2]
        if height <= self.crop_top:
            raise LgadError(f"crop_top={self.crop_top} leaves nothing of {name}, which has {height} rows.")
        rest = image[self.crop_top * image.shape[0] // height :]
        resized = cv2.resize(rest, self.input_size[::-1], interpolation=cv2.INTER_LINEAR)
        return resized.astype(np.uint8, copy=False), Frame(height, width, self.crop_top)

    def normalise(self, image: Tensor) -> Tensor:
        """Converts pixels to the network's input.

        Args:
            image: `(B, H, W, 3)` uint8, blue-green-red.

        Returns:
            `(B, 3, H, W)` float32. The order of the channels is `channels`.
        """
        pixels = image.permute(0, 3, 1, 2).contiguous()
        if self.channels == "rgb":
            pixels = pixels.flip(1)
        std = torch.tensor(self.std, device=image.device).view(3, 1, 1)
        mean = torch.tensor(self.mean, device=image.device).view(3, 1, 1)
        return pixels.float().mul_(self.pixel_range / 255 / std).sub_(mean / std)


def _as_tuple(values: Any) -> Any:
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else (values,)
