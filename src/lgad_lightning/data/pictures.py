"""Pictures of a data set: what the network sees, and where lanes are."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.base import LaneDataModule, Split
from lgad_lightning.data.dataset import Failure, LaneDataset
from lgad_lightning.data.parallel import map_parallel
from lgad_lightning.data.sampler import Key
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX

Image = NDArray[Any]

_COLOURS = (
    (60, 60, 255),
    (60, 220, 60),
    (255, 120, 40),
    (40, 220, 255),
    (255, 60, 220),
    (230, 230, 60),
    (200, 140, 120),
)


def palette() -> NDArray[np.uint8]:
    """A colour (blue, green, red) for every value of a label map: slots from the left, grey where ignored."""
    table = np.zeros((256, 3), np.uint8)
    for value in range(1, 255):
        table[value] = _COLOURS[(value - 1) % len(_COLOURS)]
    table[IGNORE_INDEX] = 128
    return table


def overlay(image: Image, label: NDArray[np.uint8]) -> Image:
    """An image with its label map drawn over it.

    Args:
        image: `(H, W, 3)` uint8, blue-green-red.
        label: `(H, W)` classes.

    Example:
        >>> overlay(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]], np.uint8)).tolist()
        [[[0, 0, 0], [36, 36, 153]]]
    """
    painted = (0.4 * image + 0.6 * palette()[label]).astype(np.uint8)
    return np.where((label > 0)[..., None], painted, image)


def contact_sheet(module: LaneDataModule, split: Split, count: int = 8) -> Image:
    """What the network sees: labels drawn over images, a row each; for training, twice more after augmentation.

    Args:
        module: The data set.
        split: Which images; they are picked evenly.
        count: Number of rows.

    Raises:
        LgadError: If an image or its label cannot be read.
    """
    module.setup("test" if split == "test" else "fit")
    dataset = module.datasets[split]
    plain = LaneDataset(module.source(split), module.input_size, module.crop_top)
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int).tolist():
        samples: list[Any] = [plain[index]]
        if dataset.augment is not None:
            samples += [dataset[Key(index, epoch)] for epoch in (0, 1)]
        failed = [sample for sample in samples if isinstance(sample, Failure)]
        if failed:
            raise LgadError(failed[0].message)
        row = np.hstack([overlay(sample["image"], sample["label"]) for sample in samples])
        text = f"{plain.source.names[index]}  {samples[0]['existence'].astype(int).tolist()}"
        cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        rows.append(row)
    return np.vstack(rows)


def data_statistics(module: LaneDataModule, split: Split, workers: int | None = None) -> tuple[dict[str, Any], Image]:
    """Figures and a picture of where lanes are.

    Args:
        module: The data set.
        split: Which images.
        workers: Number of processes, as for `map_parallel`.

    Returns:
        `{"images", "class_share", "existence", "lanes_per_image", "bottom", "length"}` and a picture. `class_share` is
        the share of pixels of each class, `existence` counts patterns like `1110`; `bottom` and `length` are, for each
        slot, the mean column of a lane's lowest point and the mean share of rows that it spans, of the input. The
        picture shows how often each class covers each pixel.

    Raises:
        LgadError: If an image or its label cannot be read.
    """
    dataset = LaneDataset(module.source(split), module.input_size, module.crop_top)
    labels = map_parallel(partial(_sparse_label, dataset), range(len(dataset)), f"Reading {split}", workers)
    slots = range(1, module.num_slots + 1)
    height, width = module.input_size
    cover = np.zeros((module.num_classes, height * width), np.int64)
    patterns: dict[str, int] = {}
    bottoms: dict[int, list[float]] = {slot: [] for slot in slots}
    lengths: dict[int, list[float]] = {slot: [] for slot in slots}
    for places, values in labels:
        present = set(np.unique(values).tolist())
        pattern = "".join(str(int(slot in present)) for slot in slots)
        patterns[pattern] = patterns.get(pattern, 0) + 1
        for slot in present & set(slots):
            where = places[values == slot]
            cover[slot, where] += 1
            rows, columns = np.divmod(where, width)
            bottoms[slot].append(float(columns[rows == rows.max()].mean()))
            lengths[slot].append(float((rows.max() - rows.min() + 1) / height))
    cover[0] = len(labels) - cover.sum(axis=0)
    figures = {
        "images": len(labels),
        "class_share": (cover.sum(axis=1) / cover.sum()).tolist(),
        "existence": dict(sorted(patterns.items(), key=lambda item: -item[1])),
        "lanes_per_image": sum(count * pattern.count("1") for pattern, count in patterns.items()) / len(labels),
        "bottom": {str(slot): _mean(bottoms[slot]) for slot in slots},
        "length": {str(slot): _mean(lengths[slot]) for slot in slots},
    }
    return figures, _heat_map(cover[1:].reshape(-1, height, width))


def _sparse_label(dataset: LaneDataset, index: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    label = dataset.label(index).ravel()
    places = np.flatnonzero(label)
    return places, label[places]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _heat_map(cover: NDArray[np.int64]) -> Image:
    """The slots' colours, as bright as the slot is frequent in a place."""
    share = np.sqrt(cover / max(cover.max(), 1))
    colours = palette()[1 : len(cover) + 1].astype(float)
    picture: Image = np.clip(np.einsum("shw,sc->hwc", share, colours), 0, 255).astype(np.uint8)
    return picture
