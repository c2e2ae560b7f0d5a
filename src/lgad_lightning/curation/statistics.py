"""Computes how lanes are distributed in a data set, as figures and as a picture."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.dataset import LaneDataset
from lgad_lightning.data.source import Split
from lgad_lightning.drawing import COLOURS, Picture
from lgad_lightning.longwork.resumable import accumulate

MEASURES = {
    "bottom": "column of the lowest point, px",
    "top": "row of the uppermost point, px",
    "length": "share of the rows",
    "lean": "direction from bottom to top, degrees from upright, to the right",
}
"""The measures of every lane in the label map at the input size."""

FIGURES = ("images", "lanes_per_image", "class_share", "existence", "geometry")
"""The keys of the figures."""

_BARS, _BAR = 8, 22  # largest number of bars, and height of a bar in pixels


def data_statistics(module: LaneDataModule, split: Split, workers: int | None = None) -> tuple[dict[str, Any], Picture]:
    """Computes figures and a picture of the positions of lanes. After an interruption, the next call continues.

    Args:
        module: The data set.
        split: The split of the images.
        workers: Number of processes, as for `map_parallel`.

    Returns:
        `{"images", "lanes_per_image", "class_share", "existence", "geometry"}` and a picture. `class_share` is the
        share of pixels of each class. With one slot for all lanes, `lanes_per_image` is the share of the images that
        have any. `existence` counts patterns like `1110`. `geometry` has mean and deviation of the
        `MEASURES` for each slot. It is None for slots that no image has.

    Raises:
        LgadError: If an image or its label cannot be read.
    """
    dataset = LaneDataset(module.open(split), module.preprocessing)
    (height, width), slots = module.preprocessing.input_size, module.num_slots
    state: dict[str, Any] = {
        "patterns": {},
        "cover": torch.zeros(slots, height * width, dtype=torch.int64),
        "moments": torch.zeros(3, slots, len(MEASURES), dtype=torch.float64),
    }
    state = accumulate(
        partial(_measure, dataset),
        range(len(dataset)),
        _add,
        state,
        f"Reading {split}",
        workers,
        key=f"stats {module.packed or module.root.resolve()} {split} {type(module).__name__} {slots} "
        f"{module.preprocessing.geometry} {dataset.source.stroke}{module.reading}",
        files=dataset.source.files,
    )
    cover = state["cover"].numpy()
    lane_share = cover.sum(axis=1) / (max(len(dataset), 1) * height * width)
    figures = {
        "images": len(dataset),
        "lanes_per_image": float(state["moments"][0, :, 0].sum()) / max(len(dataset), 1),
        "class_share": [1 - lane_share.sum(), *lane_share.tolist()],
        "existence": dict(sorted(state["patterns"].items(), key=lambda item: -item[1])),
        "geometry": _geometry(state["moments"].numpy()),
    }
    return figures, _picture(figures, cover.reshape(slots, height, width))


class _LaneMeasures(NamedTuple):
    """The label map of an image: places and values of its lane pixels, and the measures, `(slots, measures)`."""

    places: NDArray[np.int32]
    values: NDArray[np.uint8]
    measures: NDArray[np.float64]


def _measure(dataset: LaneDataset, index: int) -> _LaneMeasures:
    label = dataset.label(index)
    slots = dataset.source.num_slots
    label[label > slots] = 0
    measures = np.full((slots, len(MEASURES)), np.nan)
    rows, columns = np.nonzero(label)
    values = label[rows, columns]
    for slot in np.unique(values):
        y, x = rows[values == slot], columns[values == slot]
        bottom, top = x[y == y.max()].mean(), x[y == y.min()].mean()
        drop = y.max() - y.min()
        lean = np.degrees(np.arctan2(top - bottom, drop))
        measures[slot - 1] = bottom, y.min(), (drop + 1) / len(label), lean
    return _LaneMeasures(np.ravel_multi_index((rows, columns), label.shape).astype(np.int32), values, measures)


def _add(state: dict[str, Any], look: _LaneMeasures) -> None:
    present = ~np.isnan(look.measures[:, 0])
    pattern = "".join(str(int(slot)) for slot in present)
    state["patterns"][pattern] = state["patterns"].get(pattern, 0) + 1
    state["cover"].numpy()[look.values - 1, look.places] += 1
    known = np.nan_to_num(look.measures)
    state["moments"].numpy()[:] += present[:, None] * np.stack([np.ones_like(known), known, known**2])


def _geometry(moments: NDArray[np.float64]) -> dict[str, dict[str, dict[str, float]] | None]:
    """Mean and deviation of each measure, by slot."""
    result: dict[str, dict[str, dict[str, float]] | None] = {}
    for slot, (count, total, squares) in enumerate(moments.transpose(1, 0, 2), start=1):
        if not count[0]:
            result[str(slot)] = None
            continue
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        result[str(slot)] = {
            name: {"mean": float(mean[number]), "deviation": float(deviation[number])}
            for number, name in enumerate(MEASURES)
        }
    return result


def _picture(figures: dict[str, Any], cover: NDArray[np.int64]) -> Picture:
    """Shows how often slots cover each pixel. Below, bars show the pixels of the slots and the existence patterns."""
    colours = COLOURS[np.arange(len(cover)) % len(COLOURS)]
    share = np.sqrt(cover / max(cover.max(), 1))
    heat = np.clip(np.einsum("shw,sc->hwc", share, colours.astype(float)), 0, 255).astype(np.uint8)
    width = max(640, heat.shape[1])
    heat = np.pad(heat, ((0, 0), (0, width - heat.shape[1]), (0, 0)))
    classes = [(f"slot {slot}", value) for slot, value in enumerate(figures["class_share"][1:], start=1)]
    patterns = [(pattern, count / figures["images"]) for pattern, count in figures["existence"].items()]
    rows = min(_BARS, max(len(classes), len(patterns)))
    left = _bars("share of pixels", classes[:rows], width // 2, rows, colours.tolist())
    right = _bars("images with these slots", patterns[:rows], width - width // 2, rows, [(90, 110, 140)])
    return np.vstack([heat, np.hstack([left, right])])


def _bars(
    title: str, values: Sequence[tuple[str, float]], width: int, rows: int, colours: Sequence[Sequence[int]]
) -> Picture:
    """Draws a bar for each value. The longest bar has the whole width."""
    panel = np.full(((rows + 1) * _BAR + 10, width, 3), 250, np.uint8)
    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (40, 40, 48)
    cv2.putText(panel, title, (8, 18), font, 0.45, ink, 1, cv2.LINE_AA)
    longest = max((value for _, value in values), default=0) or 1
    for row, (name, value) in enumerate(values, start=1):
        y = row * _BAR + 4
        end = 90 + round((width - 170) * value / longest)
        cv2.rectangle(panel, (90, y), (end, y + _BAR - 6), tuple(colours[(row - 1) % len(colours)]), -1)
        cv2.putText(panel, name, (8, y + 13), font, 0.45, ink, 1, cv2.LINE_AA)
        cv2.putText(panel, f"{100 * value:.2f} %", (end + 6, y + 13), font, 0.4, ink, 1, cv2.LINE_AA)
    return panel
