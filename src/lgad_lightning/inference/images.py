"""Reads images from paths, PIL images and arrays."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.pixels import read_image
from lgad_lightning.errors import LgadError

Channels = Literal["rgb", "bgr"]


def as_bgr(image: Any, channels: Channels = "bgr") -> NDArray[np.uint8]:
    """The pixels of an image.

    Args:
        image: A path, a PIL image, or an array `(H, W, 3)` uint8.
        channels: Order of the channels of an array.

    Returns:
        `(H, W, 3)` uint8, blue-green-red.

    Raises:
        LgadError: If it is of another kind, or if the file is not an image.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if hasattr(image, "convert"):  # an image of PIL, which may not be installed
        if image.mode[0] in "IF":  # PIL would cut off what is above 255
            raise LgadError(
                f"An image of PIL in mode {image.mode} has no 8 bits a channel: convert it, or give its path."
            )
        from PIL import ImageOps

        image, channels = np.asarray(ImageOps.exif_transpose(image).convert("RGB")), "rgb"  # turned, as files are
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise LgadError(
            f"An image must be (height, width, 3) of uint8, but this is {pixels.shape} of {pixels.dtype}: convert it, "
            "or give its path."
        )
    return np.ascontiguousarray(pixels[..., ::-1] if channels == "rgb" else pixels)
