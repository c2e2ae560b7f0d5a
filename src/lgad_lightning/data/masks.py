"""Reads your own masks. A table maps their values or colours to classes."""

import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.pixels import decode_mask, likely_cause, read_bytes
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX

MaskValues = Mapping[int | str, int]
"""Maps pixel values or colours (`#ff0000`, `255,0,0`) to classes: 0 for background, 1 and up for slots, 255 ignored."""

_UNKNOWN = -1


def check_mask_values(mask_values: MaskValues, num_slots: int) -> dict[int, int]:
    """Checks a table of the user, and returns it with whole numbers as keys: values, or colours as 0xRRGGBB.

    Args:
        mask_values: The table of the user.
        num_slots: Number of slots.

    Raises:
        LgadError: If the table mixes values and colours, or if a key or a class is not valid.

    Example:
        >>> check_mask_values({"#0000ff": 1}, num_slots=1)
        {255: 1}
    """
    if not isinstance(mask_values, Mapping) or not mask_values:
        raise LgadError(f"mask_values={mask_values!r} must be a table of values to classes, like {{5: 1, 10: 2}}.")
    for key, slot in mask_values.items():
        if type(slot) is not int or not (0 <= slot <= num_slots or slot == IGNORE_INDEX):
            raise LgadError(
                f"mask_values: {key!r}: {slot!r} is no class; these are 0 to {num_slots}, and 255 to ignore."
            )
    if all(type(key) is int and 0 <= key <= 255 for key in mask_values):
        return {int(key): slot for key, slot in mask_values.items()}
    if all(isinstance(key, str) for key in mask_values):
        return {_colour(str(key)): slot for key, slot in mask_values.items()}
    raise LgadError("mask_values: the keys must be values from 0 to 255, or else all of them colours like '#ff0000'.")


def has_colours(mask_values: MaskValues) -> bool:
    """Whether the keys of a table are colours."""
    return any(isinstance(key, str) for key in mask_values)


def read_own_mask(
    path: Path, mask_values: MaskValues | None, num_slots: int, image_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Reads a mask of your own as a label map.

    Without `mask_values`, the values are the classes, and 255 is ignored. A mask that has only 0 and 255 is refused.
    With one slot, 255 means lane instead, and a mask that has 1 and 255 is refused. For a PNG with a palette, the
    values are the numbers in the palette, unless `mask_values` has colours. Three equal channels count as one.

    Args:
        path: A PNG or BMP.
        mask_values: See `MaskValues`. It must have every value (or colour) of the mask. Only 0 (or black) may be
            missing.
        num_slots: Number of slots.
        image_size: Height and width that the mask must have.

    Raises:
        LgadError: If the mask cannot be read, has another size, or has a value that is not a class.
    """
    content = read_bytes(path)
    colours = mask_values is not None and has_colours(mask_values)
    mask = decode_mask(content if colours else _numbered(content), path, image_size)
    values = _coded(mask) if colours else _single(mask, path)
    if mask_values is None:
        table = {value: value for value in (*range(num_slots + 1), IGNORE_INDEX)}
        if num_slots == 1:
            table[IGNORE_INDEX] = 1
            if np.any(values == 1) and np.any(values == IGNORE_INDEX):
                raise LgadError(
                    f"{path} holds 1 and 255, and either may be lane. Give the values: mask_values={{1: 1, 255: 255}} "
                    "if 255 is ignored."
                )
        elif np.any(values == IGNORE_INDEX) and not np.any((values > 0) & (values < IGNORE_INDEX)):
            raise LgadError(
                f"{path} holds 0 and 255 alone, and 255 is ignored. If these are lanes, train on lane or not "
                f"(num_slots=1); if not, give all values: mask_values={{1: 1, {num_slots}: {num_slots}, 255: 255}}."
            )
    else:
        table = {0: 0} | check_mask_values(mask_values, num_slots)
    known = np.array(sorted(table))
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    classes = np.where(known[place] == values, np.array([table[value] for value in known.tolist()])[place], _UNKNOWN)
    if (classes == _UNKNOWN).any():
        wrong = np.unique(values[classes == _UNKNOWN])
        shown = ", ".join(f"#{value:06x}" if colours else str(value) for value in wrong[:5].tolist())
        hint = "" if colours else likely_cause(np.unique(values).astype(np.uint8), num_slots) + " "
        raise LgadError(
            f"{path} holds {shown}, which are no classes. {hint}Give mask_values with all values that occur, those of "
            "no lane as 0."
        )
    return classes.astype(np.uint8)


def _coded(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The colour of each pixel as 0xRRGGBB. A mask with one channel has grey colours."""
    if mask.ndim == 2:
        mask = np.repeat(mask[..., None], 3, axis=2)
    blue, green, red = np.moveaxis(mask[..., :3].astype(np.int64), 2, 0)
    return np.asarray(red << 16 | green << 8 | blue)


def _single(mask: NDArray[np.uint8], path: Path) -> NDArray[np.int64]:
    """The single value of each pixel."""
    if mask.ndim == 2:
        return mask.astype(np.int64)
    if not (mask[..., :1] == mask[..., 1:3]).all():
        raise LgadError(f"{path} has colours: say which are lanes, like mask_values={{ff0000: 1}}.")
    return mask[..., 0].astype(np.int64)


def _numbered(content: bytes) -> bytes:
    """The content of an image file. In a PNG with a palette, each colour is replaced by the grey of its number."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or content[25:26] != b"\x03":
        return content
    place = content.find(b"PLTE")
    if place < 4:
        return content
    (length,) = struct.unpack(">I", content[place - 4 : place])
    end = place + 4 + length
    # For all numbers of this depth, because a palette may be too short, and numbers beyond it would become 0.
    greys = b"PLTE" + bytes(entry // 3 for entry in range(3 << min(content[24], 8)))
    chunk = struct.pack(">I", len(greys) - 4) + greys + struct.pack(">I", zlib.crc32(greys))
    return content[: place - 4] + chunk + content[end + 4 :]


def _colour(text: str) -> int:
    if found := re.fullmatch(r"#?([0-9a-fA-F]{6})", text):
        return int(found[1], 16)
    channels = [int(part) for part in re.findall(r"\d{1,3}", text)]
    if re.fullmatch(r"\s*\d{1,3}(\s*,\s*\d{1,3}){2}\s*", text) and max(channels) <= 255:
        red, green, blue = channels
        return red << 16 | green << 8 | blue
    raise LgadError(f"mask_values: {text!r} is no colour; write '#ff0000' or '255,0,0'.")
