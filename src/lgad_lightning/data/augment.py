"""Augmentation of an image together with its label map. Only this module uses albumentations."""

import math
import os
import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX, flip_label

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise its import looks for a newer version online
import albumentations as A


class LaneFlip(A.HorizontalFlip):  # type: ignore[misc]
    """Mirrors image and label map, and exchanges the classes of the left and the right lanes.

    Args:
        num_slots: Number of lane classes.
        p: Probability.
    """

    def __init__(self, num_slots: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.num_slots = num_slots

    def apply_to_mask(self, mask: NDArray[np.uint8], *args: Any, **params: Any) -> NDArray[np.uint8]:
        """Mirrors a label map."""
        return flip_label(mask, self.num_slots)


class LaneAugmentation:
    """The augmentation of training images: flip, rotation, and zoom with a random crop.

    Override `transforms` for other transforms. The published CULane recipes do not flip, and they rotate by 1 (SAD) or
    3 degrees (PytorchAutoDrive).

    Args:
        flip: Probability of mirroring left to right. Classes and existence are changed accordingly.
        rotate: Largest angle in degrees. Pixels from outside the image are black, and ignored in the label.
        zoom: Largest enlargement. The image is enlarged by 1 to `zoom`, and cropped to its size at a random place.

    Raises:
        LgadError: If a value is out of its range.

    Example:
        >>> image, label = np.zeros((32, 64, 3), np.uint8), np.ones((32, 64), np.uint8)
        >>> image, label = LaneAugmentation(flip=1, rotate=0, zoom=1).build((32, 64), num_slots=4)(image, label, 0)
        >>> np.unique(label).tolist()
        [4]
    """

    def __init__(self, flip: float = 0.5, rotate: float = 3.0, zoom: float = 1.05) -> None:
        if not (0 <= flip <= 1 and 0 <= rotate < math.inf and 1 <= zoom < math.inf):
            raise LgadError(
                f"flip={flip}, rotate={rotate}, zoom={zoom}: flip is a probability, rotate is at least 0 (degrees), "
                "zoom at least 1."
            )
        self.flip = flip
        self.rotate = rotate
        self.zoom = zoom

    def transforms(self, input_size: tuple[int, int], num_slots: int) -> Sequence[A.BasicTransform]:
        """The transforms, in order.

        Args:
            input_size: Height and width of the images before and after the transforms.
            num_slots: Number of lane classes.
        """
        chosen: list[A.BasicTransform] = []
        if self.flip:
            chosen.append(LaneFlip(num_slots, p=self.flip))
        if self.rotate:
            border = {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "fill_mask": IGNORE_INDEX}
            chosen.append(A.Rotate(self.rotate, p=1, **border))
        if self.zoom > 1:
            exact = cv2.INTER_NEAREST_EXACT  # INTER_NEAREST would move the label by half a pixel
            scale = A.RandomScale((0, self.zoom - 1), p=1, mask_interpolation=exact)
            chosen += [scale, A.RandomCrop(*input_size, p=1)]
        return chosen

    def build(self, input_size: tuple[int, int], num_slots: int) -> "SeededTransform":
        """Builds the augmentation for images of one size.

        Args:
            input_size: Height and width of the images.
            num_slots: Number of lane classes.
        """
        return SeededTransform(self.transforms(input_size, num_slots))


class SeededTransform:
    """Applies transforms to an image and its label map. The same seed gives the same result in every process.

    Without this, albumentations draws the same random numbers in all workers and epochs. With one seed for a
    composition, all its transforms draw the same numbers. One pair of generators for all transforms avoids both.

    Args:
        transforms: albumentations transforms that support images and masks.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        self.compose = A.Compose(transforms)

    def __call__(
        self, image: NDArray[np.uint8], label: NDArray[np.uint8], seed: int | Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Transforms image `(H, W, 3)` and label map `(H, W)`.

        Args:
            image: The image.
            label: Its label map.
            seed: Non-negative integers.
        """
        generator = np.random.default_rng(seed)
        self.compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        result = self.compose(image=image, mask=label)
        return result["image"], result["mask"]
