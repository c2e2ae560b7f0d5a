"""Names the usual causes if labels do not fit their images."""

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
_BEYOND = 1.1  # times the height: lanes leave an image on its sides, not so far below
_SMALLER = 0.75  # of width and of height, that no lane of a whole split leaves
_FEW = 3  # images, that say nothing of a whole split


def reach(lanes: Sequence[Lane]) -> list[float] | None:
    """How far the lanes of an image reach: largest x and y, height and width of the image; None without lanes."""
    if not (points := [lane.points for lane in lanes if len(lane)]):
        return None
    x, y = np.concatenate(points).max(axis=0).tolist()
    return [x, y, *lanes[0].image_size]


def add_reach(total: dict[str, Any], found: Sequence[float]) -> None:
    """Adds what `reach` has found of an image to what is known of its split.

    Args:
        total: Counts and extremes by name, empty at first; changed in place.
        found: What `reach` has found.
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
    """Coordinates that are exchanged, or those of images of another size: kind and description.

    Args:
        total: Of a split, from `add_reach`.
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
    """The usual size that images would have which are larger by a factor."""
    for (height, width), name in _SIZES.items():
        if abs(total["height"] * factor / height - 1) < 0.1 and abs(total["width"] * factor / width - 1) < 0.1:
            return f", as if these had {name} {width} x {height} pixels"
    return ""


def clips_in_two_splits(sources: Mapping[Split, LaneSource]) -> Iterable[tuple[str, str]]:
    """Folders with frames in two splits: the folder, and a description.

    The folder of the split itself is not looked at, nor one called `images`.
    """
    seen: dict[str, Split] = {}
    for split, source in sources.items():
        for clip in sorted({_clip(name) for name in source.names} - {""}):
            if clip in seen:
                yield clip, f"frames of {clip} are in {seen[clip]} and in {split}"
            seen[clip] = split


def _clip(name: str) -> str:
    """The folder of an image but for the part that names the split; empty where all frames of a split lie in one."""
    parts = PurePosixPath(name).parts[:-1]
    own = {part for names in NAMES.values() for part in names} | {"images"}
    return "/".join(part for part in parts if part not in own) if parts and parts[-1] not in own else ""


def label_causes(label: NDArray[np.uint8], num_slots: int) -> Iterable[tuple[str, str]]:
    """Classes that run from right to left, or hold two lanes: kind and description.

    Args:
        label: `(H, W)` classes.
        num_slots: Number of slots.
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
    """How far the second class lies to the right of the first, on average of the rows that have both."""
    _, mine, its = np.intersect1d(one[0], other[0], return_indices=True)
    return float((other[1][its] - one[1][mine]).mean()) if len(mine) > 4 else None
