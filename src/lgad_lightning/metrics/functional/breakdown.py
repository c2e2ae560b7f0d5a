"""Counts found lanes by slot and by distance from the camera. These figures are not official."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes import CULANE_SLOTS, Lane, culane_slots, tusimple_slots

BANDS = 5
"""Number of parts of equal height that an image is divided into."""

_NEAR = 20 / 1640  # of the width: largest distance between a prediction and an annotated lane in a row
_STEP = 1 / 59  # of the height: distance between two rows, as in CULane's annotations


class Found(NamedTuple):
    """Counts of one image, or sums over several images.

    Attributes:
        slots: `(S + 1, 2)` numbers of found and annotated lanes. The first row counts lanes without a slot, the others
            count each slot.
        rows: `(BANDS, 2)` numbers of found and annotated rows of lanes, from the top of the image to the bottom.
    """

    slots: NDArray[np.int64]
    rows: NDArray[np.int64]


def count_found(preds: Sequence[Lane], target: Sequence[Lane], matched: Sequence[bool], num_slots: int) -> Found:
    """Counts the lanes of one image by slot and by distance.

    A row of an annotated lane is found if a prediction is nearer than 1/82 of the image's width (20 of CULane's 1640
    pixels). The lanes need not be matched.

    Args:
        preds: Predicted lanes, in pixels of the image.
        target: Annotated lanes.
        matched: For each annotated lane, whether it is found by the protocol.
        num_slots: 4 for CULane's slots. Another even number for slots by slope.

    Example:
        >>> lane = Lane([[800, 589], [800, 295]], (590, 1640))
        >>> count_found([lane], [lane], [True], 4).slots.tolist()
        [[0, 0], [0, 0], [1, 1], [0, 0], [0, 0]]
    """
    slots, rows = np.zeros((num_slots + 1, 2), np.int64), np.zeros((BANDS, 2), np.int64)
    drawn = [lane for lane in target if len(lane) > 1]
    assigned = culane_slots(drawn) if num_slots == CULANE_SLOTS else tusimple_slots(drawn, num_slots)
    number = {id(lane): slot for slot, lane in enumerate(assigned, start=1) if lane is not None}
    for lane, is_found in zip(target, matched, strict=True):
        slots[number.get(id(lane), 0)] += [is_found, 1]
    for lane in drawn:
        height, width = lane.image_size
        places = np.arange(height - 1, -1, -height * _STEP)
        columns = lane.x_at(places)
        gaps = np.array([np.abs(pred.x_at(places) - columns) for pred in preds]).reshape(-1, len(places))
        near = (gaps < _NEAR * width).any(axis=0)
        bands = np.minimum(places / height * BANDS, BANDS - 1).astype(int)
        for band in range(BANDS):
            there = np.isfinite(columns) & (bands == band)
            rows[band] += [np.count_nonzero(there & near), np.count_nonzero(there)]
    return Found(slots, rows)


def add_up(parts: Iterable[Found]) -> Found:
    """Adds the counts of one or more images."""
    parts = list(parts)
    return Found(np.sum([part.slots for part in parts], axis=0), np.sum([part.rows for part in parts], axis=0))


def recall_by_part(found: Found, height: int) -> dict[str, dict[str, dict[str, float]]]:
    """Computes the recall by slot, and by rows of the image. Rows near the camera come first.

    Args:
        found: Counts of all images.
        height: Height of the images in pixels.

    Returns:
        `{"slots": {"slot 1": {"annotated", "found", "recall"}, ..., "no slot": ...}, "rows": {"472 to 589": ...}}`.
        Parts without annotations are left out.

    Example:
        >>> lane = Lane([[800, 589], [800, 295]], (590, 1640))
        >>> recall_by_part(count_found([], [lane], [False], 4), 590)["slots"]
        {'slot 2': {'annotated': 1, 'found': 0, 'recall': 0.0}}
    """
    ends = [round(height * band / BANDS) for band in range(BANDS + 1)]
    names = {
        "slots": ["no slot", *(f"slot {slot}" for slot in range(1, len(found.slots)))],
        "rows": [f"{top} to {bottom - 1}" for top, bottom in pairwise(ends)],
    }
    order = {"slots": [*range(1, len(found.slots)), 0], "rows": range(BANDS - 1, -1, -1)}
    return {
        key: {names[key][part]: _figures(*counts[part].tolist()) for part in order[key] if counts[part, 1]}
        for key, counts in found._asdict().items()
    }


def _figures(found: int, annotated: int) -> dict[str, float]:
    return {"annotated": annotated, "found": found, "recall": found / annotated}
