"""Draws a contact sheet of the network's input."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.dataset import Failure, LaneDataset
from lgad_lightning.data.pixels import Image
from lgad_lightning.data.sampler import SampleKey
from lgad_lightning.data.source import Split
from lgad_lightning.drawing import COLOURS, Picture
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX


def overlay(image: Image, label: NDArray[np.uint8]) -> Picture:
    """Draws a label map over its image. Ignored pixels are grey.

    Args:
        image: `(H, W, 3)` uint8, blue-green-red.
        label: `(H, W)` classes.

    Returns:
        A picture of the same size.

    Example:
        >>> overlay(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]], np.uint8)).tolist()
        [[[0, 0, 0], [138, 51, 39]]]
    """
    table = COLOURS[(np.arange(256) - 1) % len(COLOURS)]
    table[IGNORE_INDEX] = 128
    pixels = image[..., ::-1]
    picture: Picture = np.where((label > 0)[..., None], 0.4 * pixels + 0.6 * table[label], pixels).astype(np.uint8)
    return picture


def contact_sheet(module: LaneDataModule, split: Split, count: int = 8) -> Picture:
    """Draws labels over images at the input size, one image in each row. For `train`, adds two augmented versions.

    Args:
        module: The data set.
        split: The split of the images. They are chosen at equal distances.
        count: Number of rows.

    Raises:
        LgadError: If an image or its label cannot be read.
    """
    source = module.open(split)
    plain = LaneDataset(source, module.preprocessing)
    augmentation = module.augmentation if split == "train" else None
    dataset = LaneDataset(source, module.preprocessing, augmentation, module.seed)
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int).tolist():
        samples: list[Any] = [plain[index]]
        if dataset.augment is not None:
            samples += [dataset[SampleKey(index, epoch)] for epoch in (0, 1)]
        failed = [sample for sample in samples if isinstance(sample, Failure)]
        if failed:
            raise LgadError(failed[0].message)
        row = np.hstack([overlay(sample["image"], sample["label"]) for sample in samples])
        name = plain.source.names[index].encode("ascii", "replace").decode()  # OpenCV draws only ASCII
        text = f"{name}  {samples[0]['existence'].astype(int).tolist()}"
        font, size, thickness = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1
        (width, _), _ = cv2.getTextSize(text, font, size, thickness)
        cv2.rectangle(row, (0, 0), (width + 12, 22), (0, 0, 0), -1)
        cv2.putText(row, text, (6, 16), font, size, (255, 255, 255), thickness, cv2.LINE_AA)
        rows.append(row)
    return np.vstack(rows)
