"""Reads pixels from files: images, and masks of classes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.image_header import header_size, is_cut_off
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX

Image = NDArray[Any]
"""uint8 `(H, W, 3)`, blue-green-red."""

_MOST_PIXELS = 200_000_000  # larger images take seconds and gigabytes; the largest cameras have 150 megapixels


def read_image(path: Path, reduce: bool = False) -> Image:
    """Reads a JPEG or PNG.

    Args:
        path: The file.
        reduce: Decode at half size. This is faster, but the pixels differ a little.

    Returns:
        The image.

    Raises:
        LgadError: If the file is missing, cut off, or not an image.
    """
    return decode_image(read_bytes(path), str(path), reduce)


def decode_image(content: bytes, name: str, reduce: bool = False) -> Image:
    """Decodes a JPEG or PNG.

    Args:
        content: The bytes of the file.
        name: Its name, for the error message.
        reduce: Decode at half size.

    Raises:
        LgadError: If the file is cut off, or not an image.
    """
    _check_pixels(content, name)
    image = _decode(content, name, cv2.IMREAD_REDUCED_COLOR_2 if reduce else cv2.IMREAD_COLOR)
    if image is None:
        raise LgadError(f"{name} is no image that can be decoded. Restore it from the data set's archive.")
    return image


def read_mask(path: Path, num_slots: int, image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Reads a label map.

    Args:
        path: A single-channel PNG of classes.
        num_slots: The largest allowed class. 255 (ignore) is also allowed.
        image_size: Height and width that the mask must have. If the header has another size, it is not decoded.

    Raises:
        LgadError: If the file is missing, cut off, or not a mask, or if it has another size or other values.
    """
    content = read_bytes(path)
    mask = decode_mask(content, path, image_size)
    if mask.ndim != 2:
        raise LgadError(f"{path} is no 8-bit single-channel mask. Restore it from the data set's archive.")
    if mask.max() > num_slots and (wrong := mask[(mask > num_slots) & (mask < IGNORE_INDEX)]).size:
        raise LgadError(
            f"{path} has the value {wrong[0]}: a mask holds 0, 1 to {num_slots}, and 255 for ignored "
            f"pixels. {likely_cause(np.unique(mask), num_slots)}"
        )
    return mask


def decode_mask(content: bytes, path: Path, image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decodes a mask as it is stored: `(H, W)` or `(H, W, channels)`. It does not check the values.

    Args:
        content: The bytes of the file.
        path: Its path, for the error message.
        image_size: Height and width that the mask must have.

    Raises:
        LgadError: If the file is cut off or not a mask, or if it has another size.
    """
    _check_pixels(content, str(path))
    if image_size and (size := header_size(content)) and size != image_size:
        raise LgadError(wrong_size(path, size, image_size))
    mask = _decode(content, str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8:
        raise LgadError(f"{path} is no 8-bit single-channel mask. Restore it from the data set's archive.")
    if image_size and mask.shape[:2] != image_size:
        raise LgadError(wrong_size(path, mask.shape, image_size))
    return mask


def likely_cause(values: NDArray[np.uint8], num_slots: int) -> str:
    """Describes why a mask may have values that are not classes, and what to do about it.

    Args:
        values: The values in the mask.
        num_slots: Number of slots.

    Example:
        >>> likely_cause(np.array([0, 60, 120], np.uint8), 4)
        'They are 60 times 1 to 2: multiplied for viewing? Divide them, or give mask_values={60: 1, 120: 2}.'
    """
    lanes = values[values > 0].astype(int)
    factor = int(np.gcd.reduce(lanes))
    if factor > 1 and lanes.max() // factor <= num_slots:
        table = ", ".join(f"{value}: {value // factor}" for value in lanes)
        return (
            f"They are {factor} times 1 to {lanes.max() // factor}: multiplied for viewing? Divide them, or give "
            f"mask_values={{{table}}}."
        )
    if len(values) > 2 * num_slots + 2:
        return f"It holds {len(values)} values: was it resized with interpolation, or stored as JPEG?"
    return "Was it made for viewing, or resized with interpolation?"


def wrong_size(path: Path, size: tuple[int, ...], image_size: tuple[int, int]) -> str:
    """The error message for a mask that does not fit its image. Sizes are height and width."""
    return (
        f"{path} has {size[0]} x {size[1]} pixels (height x width), its image {image_size[0]} x {image_size[1]}. "
        "Restore both from the data set's archive."
    )


def _check_pixels(content: bytes, name: str) -> None:
    size = header_size(content)
    if size and size[0] * size[1] > _MOST_PIXELS:
        raise LgadError(
            f"{name} has {size[0]} x {size[1]} pixels (height x width), more than {_MOST_PIXELS // 1_000_000} "
            "megapixels: make it smaller."
        )


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        LgadError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise LgadError(f"Cannot read {path}: {error.strerror}. Is the data set complete?") from error
    except ValueError as error:  # no file can have such a path
        raise LgadError(f"Cannot read {path!r}: {error}.") from error


def _decode(content: bytes, name: str, flags: int) -> Image | None:
    if not content:
        raise LgadError(f"{name} is empty. Restore it from the data set's archive.")
    # OpenCV 4 decodes a JPEG that was cut off without an error, and makes the missing part grey. OpenCV 5 does not.
    # Both reserve as much memory for a part of a PNG as its length says: gigabytes, if the length is damaged.
    if is_cut_off(content):
        raise LgadError(f"{name} is cut off after {len(content)} bytes. Restore it from the data set's archive.")
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # a header with billions of pixels
        return None
