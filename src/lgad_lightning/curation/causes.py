"""Finds the usual causes if labels do not fit their images."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.folder import NAMES
from lgad_lightning.data.source import LaneSource, Split
from lgad_lightning.lanes import IGNORE_INDEX, Lane

_SIZES = {(590, 1640): "CULane's", (720, 1280): "TuSimple's", (1080, 1920): "full HD", (1280, 1920): "OpenLane's"}
_BEYOND = 1.1  # times the height; lanes leave an image at its sides, not so far below
_SMALLER = 0.75  # share of width and of height; suspicious if no lane of a split leaves it
_FEW = 3  # fewer images say nothing about the whole split


def reach(lanes: Sequence[Lane]) -> list[float] | None:
    """The largest x and y of the lanes of an image, and its height and width. None if it has no lanes."""
    if not (points := [lane.points for lane in lanes if len(lane)]):
        return None
    x, y = np.concatenate(points).max(axis=0).tolist()
    return [x, y, *lanes[0].image_size]


def add_reach(total: dict[str, Any], found: Sequence[float]) -> None:
    """Adds the result of `reach` for an image to the total of its split.

    Args:
        total: Counts and extremes by name. It is empty at first, and it is changed in place.
        found: The result of `reach`.
    """
    x, y, height, width = found
    beyond = y > _BEYOND * height
    exchanged = beyond and x <= height and y <= _BEYOND * width
    for name, value in (("images", 1), ("beyond", int(beyond)), ("exchanged", int(exchanged))):
        total[name] = total.get(name, 0) + value
    for name, ratio in (("x", x / width), ("y", y / height)):
        total[name] = max(total.get(name, 0.0), ratio)
    total["height"], total["width"] = height, width


def size_causes(total: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Finds exchanged coordinates, and coordinates for images of another size.

    Args:
        total: The total of a split, from `add_reach`.

    Yields:
        Kind and description of each finding.
    """
    images = total.get("images", 0)
    if 2 * total.get("exchanged", 0) > images:
        count = total["exchanged"]
        yield "exchanged", f"in {count} of {images} images the lanes lie inside only if x and y change places"
    elif 2 * total.get("beyond", 0) > images:
        factor = max(total["x"], total["y"])
        yield "size", f"the lanes reach {factor:.2f} times as far as the images{_size_at(total, factor)}"
    elif images >= _FEW and total["x"] < _SMALLER and total["y"] < _SMALLER:
        size = _size_at(total, max(total["x"], total["y"]))
        yield "size", f"no lane leaves the upper left {total['x']:.0%} x {total['y']:.0%}: a smaller copy's{size}?"


def _size_at(total: Mapping[str, Any], factor: float) -> str:
    """The end of a description: the usual size of the images if they were larger by a factor. Empty if unknown."""
    for (height, width), name in _SIZES.items():
        if abs(total["height"] * factor / height - 1) < 0.1 and abs(total["width"] * factor / width - 1) < 0.1:
            return f", as if these had {name} {width} x {height} pixels"
    return ""


def clips_in_two_splits(sources: Mapping[Split, LaneSource]) -> Iterable[tuple[str, str]]:
    """Finds folders with frames in two splits. It yields each folder and a description.

    It ignores the folder of the split itself, and folders with the name `images`.
    """
    seen: dict[str, Split] = {}
    for split, source in sources.items():
        for clip in sorted({_clip(name) for name in source.names} - {""}):
            if clip in seen:
                yield clip, f"frames of {clip} are in {seen[clip]} and in {split}"
            seen[clip] = split


def _clip(name: str) -> str:
    """The folder of an image without the part for the split. Empty if all frames of a split are in one folder."""
    parts = PurePosixPath(name).parts[:-1]
    own = {part for names in NAMES.values() for part in names} | {"images"}
    return "/".join(part for part in parts if part not in own) if parts and parts[-1] not in own else ""


def label_causes(label: NDArray[np.uint8], num_slots: int) -> Iterable[tuple[str, str]]:
    """Finds classes that are ordered from right to left, and classes with two lanes.

    Args:
        label: `(H, W)` classes.
        num_slots: Number of slots.

    Yields:
        Kind and description of each finding.
    """
    width = label.shape[1]
    columns = np.arange(width, dtype=np.float64)
    centres = []
    for slot in np.unique(label[(label > 0) & (label < IGNORE_INDEX)]).tolist():
        painted = label == slot
        rows = np.flatnonzero(painted.any(axis=1))
        strips = painted[rows]
        first, last = strips.argmax(axis=1), width - 1 - strips[:, ::-1].argmax(axis=1)
        count = np.count_nonzero(strips, axis=1)
        parted = (last - first + 1 - count) > width / 20
        if num_slots > 1 and parted.mean() > 0.3:
            yield "double", f"class {slot} is in two places of {parted.mean():.0%} of its rows"
        centres.append((rows, strips @ columns / count))
    steps = [step for one, other in pairwise(centres) if (step := _step(one, other)) is not None]
    if steps and max(steps) < -width / 50:
        yield "order", "the classes run from right to left"


def _step(one: tuple[NDArray[Any], NDArray[Any]], other: tuple[NDArray[Any], NDArray[Any]]) -> float | None:
    """How far the second class is to the right of the first, as a mean over the rows that have both. None for few."""
    _, mine, its = np.intersect1d(one[0], other[0], return_indices=True)
    return float((other[1][its] - one[1][mine]).mean()) if len(mine) > 4 else None
