"""Where images and labels come from. Every data set has its own source."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.image_header import header_size
from lgad_lightning.data.pixels import Image, read_image, wrong_size
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX, Frame, Lane, rasterise

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_HEADER = 1 << 16  # bytes of an image file that hold its size
_SAMPLED = 64  # annotation files of a split that its fingerprint reads
_MOST_LANES = 64  # the widest roads of the world have about 26 lanes, so 27 lines, and some of these are double
_MOST_POINTS = 10_000  # of a lane; an image has fewer rows


class LaneSource(ABC):
    """The images of one split and their annotations.

    For your own data set, implement `lanes` and `slots`. Label maps are then drawn from them.

    Args:
        root: Folder of the data set.
        names: Path of each image below the root, '/' separated.
        num_slots: Number of lane slots. Slot i (from 0) is class i + 1. One slot holds all lanes (binary segmentation).
    """

    traced = False
    """Whether the lanes are traced from the masks, because there are no files of lanes."""

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
            LgadError: If the annotation cannot be read. The message names the file.
        """

    @abstractmethod
    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Assigns lanes to slots. It is not called if there is only one slot, because that holds all lanes.

        Args:
            index: Number of the image.
            lanes: Its lanes, from `lanes`.

        Returns:
            `num_slots` entries: the lane of each slot, or None.
        """

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The annotated label map of an image. None (the default) if it has to be drawn from the lanes.

        Args:
            index: Number of the image.
            image_size: Height and width of the image in pixels. The label map has the same size.

        Raises:
            LgadError: If the mask cannot be read. The message names the file.
        """
        return None

    def checked_lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """Returns what `lanes` returns, and checks the number of lanes and points. It has the same arguments.

        Raises:
            LgadError: If the annotation cannot be read, has more lanes than any road, or has a lane with too many
                points.
        """
        lanes = self.lanes(index, image_size)
        if len(lanes) > _MOST_LANES:
            raise LgadError(
                f"{self.names[index]} has {len(lanes)} annotated lanes; no road has more than {_MOST_LANES}. "
                "Is its annotation another kind of file?"
            )
        if longest := next((lane for lane in lanes if len(lane) > _MOST_POINTS), None):
            raise LgadError(f"{self.names[index]} has a lane of {len(longest)} points; none needs over {_MOST_POINTS}.")
        return lanes

    def checked_mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Returns what `mask` returns, and checks that a network can learn lanes from it. It has the same arguments.

        Raises:
            LgadError: If the mask cannot be read, has another size than its image, or ignores all annotated lanes.
                (Masks made for viewing often have 255 for lanes.)
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
        """The label map of an image: 0 for the background, 1 to `num_slots` for the slots, 255 for ignored pixels.

        Args:
            index: Number of the image.
            frame: Size of the image, and the number of rows to cut off the top.
            size: Height and width of the label map.
        """
        mask = self.checked_mask(index, (frame.height, frame.width))
        if mask is None:
            return self.drawn_label(index, frame, size)
        resized = cv2.resize(mask[frame.crop_top :], size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized.astype(np.uint8, copy=False)

    def drawn_label(self, index: int, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The label map drawn from the lanes, even if there is a mask. The arguments are those of `label`."""
        lanes = self.checked_lanes(index, (frame.height, frame.width))
        slots = lanes if self.num_slots == 1 else self.slots(index, lanes)
        cropped = [lane and lane.cropped(frame.crop_top) for lane in slots]
        label = rasterise(cropped, size, width=max(1, round(size[1] * self.stroke)))
        return np.minimum(label, self.num_slots)

    def label_path(self, index: int) -> Path:
        """The file that the label map of an image is made from.

        Args:
            index: Number of the image.
        """
        return (self.root / self.names[index]).with_suffix(".lines.txt")

    def scenario(self, index: int) -> str | None:
        """The scenario of an image. It has its own score beside the total. None (the default): no scenario.

        Args:
            index: Number of the image.
        """
        return None

    def existence_bits(self) -> list[str] | None:
        """The existence bits of each image in the list of the split, like `1110`. None (the default): no bits."""
        return None

    def fingerprint(self) -> str:
        """A digest of the paths of the images, and of a sample of about 64 annotation files. Hexadecimal digits."""
        digest = hashlib.sha256("\n".join(self.names).encode(errors="surrogatepass"))
        sample = range(0, len(self), max(1, len(self) // _SAMPLED))
        for path in dict.fromkeys(map(self.label_path, sample)):
            digest.update(path.name.encode(errors="surrogatepass"))
            if path.is_file():
                with path.open("rb") as file:
                    while part := file.read(1 << 20):
                        digest.update(part)
        return digest.hexdigest()

    def files(self, index: int) -> list[Path]:
        """The files of an image: the image itself and its annotation.

        Args:
            index: Number of the image.
        """
        return [self.root / self.names[index], self.label_path(index)]

    stroke: float = 16 / 1640
    """Thickness of a drawn lane as a share of the image's width."""

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image in pixels. They are read from the header of the file if possible.

        Args:
            index: Number of the image.
        """
        path = self.root / self.names[index]
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(_HEADER)
            exif = b"Exif" in beginning or b"eXIf" in beginning  # of a JPEG or a PNG; it may turn the image
            if not exif and (size := header_size(beginning)):
                return size
        height, width = self.image(index).shape[:2]
        return height, width

    def image(self, index: int, reduce: bool = False) -> Image:
        """The pixels of an image; see `read_image`."""
        return read_image(self.root / self.names[index], reduce)

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """The keyword arguments that the `update` of the data set's metric needs for an image.

        Args:
            index: Number of the image.
            image_size: Height and width of the image in pixels.
        """
        given: dict[str, Any] = {"images": self.names[index]}
        if self.num_slots > 1:  # with one slot, pixels are scored, not lanes
            given["target"] = self.checked_lanes(index, image_size)
        if scenario := self.scenario(index):
            given["scenarios"] = scenario
        return given
