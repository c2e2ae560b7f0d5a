"""Checks the image, the lanes and the label map of one sample."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.curation.causes import label_causes, reach
from lgad_lightning.curation.findings import Finding
from lgad_lightning.data.source import LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SIZE, IGNORE_INDEX, Frame, Lane


class ImageReport(NamedTuple):
    """The results for one image.

    Attributes:
        groups: The split, and the scenario if there is one.
        lanes: Number of annotated lanes.
        findings: The problems.
        reach: How far the lanes reach, see `causes.reach`.
    """

    groups: list[str]
    lanes: int
    findings: list[Finding]
    reach: list[float] | None = None


def check_image(
    sources: Mapping[Split, LaneSource], bits: Mapping[Split, Sequence[str]], columns: int, item: tuple[Split, int]
) -> ImageReport:
    """Checks the image, the lanes and the label map of one sample.

    Args:
        sources: The splits.
        bits: Existence bits of each image, like `1110`, for the splits whose list has them.
        columns: Width of the network's input.
        item: Split and number of the image.
    """
    split, index = item
    source = sources[split]
    name = source.names[index]
    groups: list[str] = [split]
    if scenario := source.scenario(index):
        groups.append(f"{split}: {scenario}")
    findings: list[Finding] = []
    lanes: list[Lane] = []
    try:
        with _decoder_complaints() as complaints:
            height, width = source.image(index).shape[:2]
        if complaints:
            findings.append(Finding("damaged", name, f"{name}: {complaints[0]}"))
    except LgadError as error:
        with suppress(LgadError):  # without the size of the image, an annotation may seem wrong
            lanes = source.checked_lanes(index, CULANE_SIZE)
        return ImageReport(groups, len(lanes), [Finding("image", name, str(error))])
    try:
        lanes = source.checked_lanes(index, (height, width))
    except LgadError as error:
        return ImageReport(groups, 0, [*findings, Finding("lanes", name, str(error))])
    findings += [Finding(kind, name, f"{name}: {detail}") for kind, detail in _look_at_lanes(lanes)]
    learned = columns if split == "train" else None
    findings += _look_at_label(source, index, (height, width), bits.get(split), learned)
    return ImageReport(groups, len(lanes), findings, reach(lanes))


@contextmanager
def _decoder_complaints() -> Iterator[list[str]]:
    """Collects what the decoder prints about a JPEG. If a JPEG is damaged inside, it prints but raises no error."""
    complaints: list[str] = []
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield complaints
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            file.seek(0)
            complaints += [line for line in file.read().decode(errors="replace").splitlines() if "JPEG" in line]


def _look_at_label(
    source: LaneSource, index: int, image_size: tuple[int, int], bits: Sequence[str] | None, columns: int | None
) -> Iterable[Finding]:
    name, frame = source.names[index], Frame(*image_size)
    try:
        mask = source.checked_mask(index, image_size)
    except LgadError as error:
        yield Finding("label", name, str(error))
        return
    try:
        drawn = source.drawn_label(index, frame, image_size)
    except LgadError as error:
        yield Finding("lanes", name, str(error))
        return
    label = drawn if mask is None else mask
    if mask is None and source.num_slots > 1:
        lanes = source.checked_lanes(index, image_size)
        seen, placed = (
            sum(lane is not None and len(lane) > 1 for lane in chosen) for chosen in (lanes, source.slots(index, lanes))
        )
        if left := seen - placed:
            yield Finding("unused", name, f"{name}: {left} of {seen} lanes get none of {source.num_slots} slots")
    if bits is not None:
        shown = "".join(str(int((label == slot).any())) for slot in range(1, source.num_slots + 1))
        if shown != bits[index]:
            yield Finding("bits", name, f"{name}: the list says {bits[index]}, the label map shows {shown}")
    if mask is not None and source.traced and columns is not None:  # masks are all that there is to learn from
        for detail in _thin(mask, source.num_slots, columns):
            yield Finding("thin", name, f"{name}: {detail}")
    for kind, detail in label_causes(label, source.num_slots):
        yield Finding(kind, name, f"{name}: {detail}")
    if mask is not None and not drawn.any() and (shown_by := np.unique(mask[(mask > 0) & (mask < IGNORE_INDEX)])).size:
        classes = ", ".join(map(str, shown_by))
        yield Finding("empty", name, f"{name}: no lane is annotated, its mask shows class {classes}")
    elif mask is not None and not source.traced:
        union = np.count_nonzero((drawn > 0) | (mask > 0))
        overlap = np.count_nonzero((drawn == mask) & (mask > 0)) / union if union else 1.0
        if overlap < 0.5:
            yield Finding("disagree", name, f"{name}: mask and lanes share {overlap:.0%} of their pixels")


def _thin(mask: NDArray[np.uint8], num_slots: int, columns: int) -> Iterator[str]:
    """The classes of a mask that are less than a pixel wide at the size of the network's input."""
    for slot in range(1, num_slots + 1):
        inside = mask == slot
        if rows := int(inside.any(axis=1).sum()):
            wide = int(inside.sum()) / rows * columns / mask.shape[1]
            if wide < 1:
                yield f"class {slot} is {wide:.1f} px wide of {columns}"


def _look_at_lanes(lanes: Sequence[Lane]) -> Iterable[tuple[str, str]]:
    for number, lane in enumerate(lanes, start=1):
        height, width = lane.image_size
        if len(lane) < 2:
            yield "short", f"lane {number} has {len(lane)} points"
            continue
        beyond = np.maximum(lane.points - [width - 1, height - 1], -lane.points).max()
        if beyond > width / 2:
            yield "outside", f"lane {number} has a point {beyond:.0f} px outside the image"
    for (one, lane), (two, other) in combinations(enumerate(lanes, start=1), 2):
        if len(lane) < 2 or len(other) < 2:
            continue
        rows = np.linspace(0, lane.image_size[0], 60)
        gap = np.abs(lane.x_at(rows) - other.x_at(rows))
        if np.isfinite(gap).sum() > 2 and np.nanmean(gap) < lane.image_size[1] / 160:
            yield "duplicate", f"lanes {one} and {two} are {np.nanmean(gap):.1f} px apart"
