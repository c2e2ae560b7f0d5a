"""Where images and labels come from: the part that every data set writes anew."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.image_header import header_size
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX, Frame, Lane, rasterise

Image = NDArray[Any]
"""uint8 `(H, W, 3)`, blue-green-red."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_SAMPLED = 64  # annotation files of a split that its fingerprint reads
_MOST_PIXELS = 200_000_000  # larger ones take seconds and gigabytes each; the largest cameras have 150 megapixels
_MOST_LANES = 64  # the widest roads of the world have some 26 lanes, hence 27 lines, and some of them are double


class LaneSource(ABC):
    """The images of one split and what is annotated on them.

    A data set of one's own needs `lanes` and `slots`; label maps are then drawn from them.

    Args:
        root: Folder of the data set.
        names: Path of each image below the root, '/' separated.
        num_slots: Number of lane slots; slot i is class i + 1.
    """

    def __init__(self, root: Path, names: Sequence[str], num_slots: int) -> None:
        self.root = root
        self.names = names
        self.num_slots = num_slots

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The annotated lanes of an image, in any order.

        Args:
            index: Number of the image.
            image_size: Height and width of the image in pixels.

        Raises:
            LgadError: If the annotation cannot be read; names the file.
        """

    @abstractmethod
    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Which lane has which slot.

        Args:
            index: Number of the image.
            lanes: Its lanes, as `lanes` gives them.

        Returns:
            `num_slots` lanes or None.
        """

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The annotated label map of an image, or None (the default) where it is to be drawn from the lanes.

        Args:
            index: Number of the image.
            image_size: Height and width of the image in pixels, those of the map to return.

        Raises:
            LgadError: If the mask cannot be read; names the file.
        """
        return None

    def checked_lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """What `lanes` gives, if a road can have so many; arguments as there.

        Raises:
            LgadError: If the annotation cannot be read, or holds more lanes than any road has.
        """
        lanes = self.lanes(index, image_size)
        if len(lanes) > _MOST_LANES:
            raise LgadError(
                f"{self.names[index]} has {len(lanes)} annotated lanes; no road has more than {_MOST_LANES}. "
                "Is its annotation another kind of file?"
            )
        return lanes

    def checked_mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """What `mask` gives, if the network can learn lanes from it; arguments as there.

        Raises:
            LgadError: If the mask cannot be read, has another size than its image, or ignores all that is annotated:
                masks made for viewing have 255 where a lane is.
        """
        mask = self.mask(index, image_size)
        if mask is None:
            return None
        if mask.shape != image_size:
            raise LgadError(wrong_size(self.label_path(index), mask.shape, image_size))
        values = np.bincount(mask.ravel(), minlength=256)
        if values[IGNORE_INDEX] and not values[1:IGNORE_INDEX].any():
            drawn = self.drawn_label(index, Frame(*image_size), image_size)
            if drawn.any():
                raise LgadError(
                    f"The mask of {self.names[index]}, {self.label_path(index)}, holds 0 and 255 alone, and 255 is "
                    f"ignored: the lanes that are annotated would be. A lane's pixels hold 1 to {self.num_slots}. Was "
                    "the mask made for viewing?"
                )
        return mask

    def label(self, index: int, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The label map of an image: 0 background, then the slots.

        Args:
            index: Number of the image.
            frame: Size of the image, and the rows to cut off.
            size: Height and width of the map to return.
        """
        mask = self.checked_mask(index, (frame.height, frame.width))
        if mask is None:
            return self.drawn_label(index, frame, size)
        resized = cv2.resize(mask[frame.crop_top :], size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized.astype(np.uint8, copy=False)

    def drawn_label(self, index: int, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The label map as the lanes show it, whether or not there is a mask; arguments as for `label`."""
        slots = self.slots(index, self.checked_lanes(index, (frame.height, frame.width)))
        cropped = [lane and lane.cropped(frame.crop_top) for lane in slots]
        return rasterise(cropped, size, width=max(1, round(size[1] * self.stroke)))

    def label_path(self, index: int) -> Path:
        """The file that the label map of an image is made from.

        Args:
            index: Number of the image.
        """
        return (self.root / self.names[index]).with_suffix(".lines.txt")

    def scenario(self, index: int) -> str | None:
        """The scenario that an image is scored under beside the total, None (the default) for none.

        Args:
            index: Number of the image.
        """
        return None

    def existence_bits(self) -> list[str] | None:
        """What the list of the split says of each image's slots, like `1110`; None (the default) if it says nothing."""
        return None

    def fingerprint(self) -> str:
        """Hexadecimal digits that stand for the images' paths and, by a sample of 64 files, for their annotations."""
        digest = hashlib.sha256("\n".join(self.names).encode(errors="surrogatepass"))
        sample = range(0, len(self), max(1, len(self) // _SAMPLED))
        for path in dict.fromkeys(map(self.label_path, sample)):
            digest.update(path.name.encode(errors="surrogatepass"))
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    def files(self, index: int) -> list[Path]:
        """The files that hold what is known of an image.

        Args:
            index: Number of the image.
        """
        return [self.root / self.names[index], self.label_path(index)]

    stroke: float = 16 / 1640
    """Thickness of a drawn lane as a share of the image's width."""

    def image(self, index: int, reduce: bool = False) -> Image:
        """The pixels of an image; see `read_image`."""
        return read_image(self.root / self.names[index], reduce)

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """What the data set's metric wants to know of an image, by the names of its arguments.

        Args:
            index: Number of the image.
            image_size: Height and width of the image in pixels.
        """
        scenario = self.scenario(index)
        given = {"target": self.checked_lanes(index, image_size), "images": self.names[index]}
        return given | ({"scenarios": scenario} if scenario else {})


def read_image(path: Path, reduce: bool = False) -> Image:
    """Reads a JPEG or PNG.

    Args:
        path: The file.
        reduce: Decode at half size, which is faster and gives slightly other pixels.

    Returns:
        The image.

    Raises:
        LgadError: If the file is missing, cut off, or no image.
    """
    return decode_image(_read(path), str(path), reduce)


def decode_image(content: bytes, name: str, reduce: bool = False) -> Image:
    """Decodes a JPEG or PNG.

    Args:
        content: The bytes of the file.
        name: Its name, for the error message.
        reduce: Decode at half size.

    Raises:
        LgadError: If it is cut off, or no image.
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
        num_slots: The largest class that may occur, besides 255 (ignore).
        image_size: Height and width that it must have; a file that says otherwise is not decoded.

    Raises:
        LgadError: If the file is missing, cut off, no mask, of another size, or holds other values.
    """
    content = _read(path)
    _check_pixels(content, str(path))
    if image_size and (size := header_size(content)) and size != image_size:
        raise LgadError(wrong_size(path, size, image_size))
    mask = _decode(content, str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise LgadError(f"{path} is no 8-bit single-channel mask. Restore it from the data set's archive.")
    if mask.max() > num_slots and (wrong := mask[(mask > num_slots) & (mask < IGNORE_INDEX)]).size:
        raise LgadError(
            f"{path} has the value {wrong[0]}: a mask holds 0, 1 to {num_slots}, and 255 for ignored "
            "pixels. Was it made for viewing, or resized with interpolation?"
        )
    return mask


def wrong_size(path: Path, size: tuple[int, ...], image_size: tuple[int, int]) -> str:
    """The message about a mask that does not fit its image; sizes are height and width."""
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LgadError(f"Cannot read {path}: {error.strerror}. Is the data set complete?") from error
    except ValueError as error:  # a path that no file can have
        raise LgadError(f"Cannot read {path!r}: {error}.") from error


def _decode(content: bytes, name: str, flags: int) -> Image | None:
    if not content:
        raise LgadError(f"{name} is empty. Restore it from the data set's archive.")
    # OpenCV 4 decodes a JPEG that was cut off without complaint, the missing part grey; OpenCV 5 does not. A whole one
    # has its end marker behind its last scan, though cameras may append to it.
    if content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise LgadError(f"{name} is cut off after {len(content)} bytes. Restore it from the data set's archive.")
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # a header that speaks of thousands of millions of pixels
        return None
