"""From the pixels of an image to what a network sees."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
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
    """How an image is cropped, resized and normalised; one value for training and for use.

    Args:
        input_size: Height and width of the network's input in pixels.
        crop_top: Rows to cut off the top of every image, before resizing.
        mean: Mean of the channels, in units of `pixel_range`.
        std: Deviation of the channels, in units of `pixel_range`.
        channels: Order of the channels.
        pixel_range: Value of a white pixel before normalising.
        reduced_decode: Decode JPEGs at half size, where they are at least twice the input size: faster, but the
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
        numbers = (*self.mean, *self.std, self.pixel_range)
        if not all(isinstance(value, int | float) and isfinite(value) for value in numbers):
            raise LgadError(f"mean={self.mean}, std={self.std} and pixel_range={self.pixel_range} must be numbers.")
        if min(*self.std, self.pixel_range) <= 0:
            raise LgadError(f"std={self.std} and pixel_range={self.pixel_range} must be above 0.")
        check_choice("channels", self.channels, ("rgb", "bgr"))
        check_choice("reduced_decode", self.reduced_decode, (True, False))

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that differ between preprocessings."""
        return hashlib.sha256(repr(asdict(self)).encode()).hexdigest()[:12]

    @property
    def geometry(self) -> str:
        """What decides where a pixel goes, in one line: label maps depend on nothing else of a preprocessing."""
        return f"{self.input_size} {self.crop_top}"

    def cut(
        self, image: NDArray[np.uint8], size: tuple[int, int] | None = None, name: str = "the image"
    ) -> tuple[NDArray[np.uint8], Frame]:
        """Crops an image and resizes it to the input size.

        Args:
            image: `(H, W, 3)`.
            size: Height and width of the image before it was decoded at half size; None if it was not.
            name: What to call the image in an error.

        Returns:
            `(height, width, 3)` of the input size, and how it was cut from its image.

        Raises:
            LgadError: If the crop leaves nothing.
        """
        height, width = size or image.shape[:2]
        if height <= self.crop_top:
            raise LgadError(f"crop_top={self.crop_top} leaves nothing of {name}, which has {height} rows.")
        rest = image[self.crop_top * image.shape[0] // height :]
        resized = cv2.resize(rest, self.input_size[::-1], interpolation=cv2.INTER_LINEAR)
        return resized.astype(np.uint8, copy=False), Frame(height, width, self.crop_top)

    def normalise(self, image: Tensor) -> Tensor:
        """Pixels to the network's input.

        Args:
            image: `(B, H, W, 3)` uint8, blue-green-red.

        Returns:
            `(B, 3, H, W)` float32 in this order of channels.
        """
        pixels = image.permute(0, 3, 1, 2).contiguous()
        if self.channels == "rgb":
            pixels = pixels.flip(1)
        std = torch.tensor(self.std, device=image.device).view(3, 1, 1)
        mean = torch.tensor(self.mean, device=image.device).view(3, 1, 1)
        return pixels.float().mul_(self.pixel_range / 255 / std).sub_(mean / std)


def _as_tuple(values: Any) -> Any:
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else (values,)
