"""Looks at every file of a data set for what would spoil a training."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lgad_lightning.data.base import SPLITS, LaneDataModule
from lgad_lightning.data.culane import CULaneDataModule, CULaneSource, read_list
from lgad_lightning.data.folder import LaneFolderDataModule
from lgad_lightning.data.parallel import map_parallel
from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.synthetic.generate import MANIFEST
from lgad_lightning.data.tusimple import TuSimpleDataModule, TuSimpleSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SIZE, Frame, Lane

ERRORS = {
    "split": "a split cannot be opened",
    "image": "an image is missing, damaged or no image",
    "lanes": "an annotation of lanes is missing or garbled",
    "label": "a mask is missing, damaged, of another size, or has other values than classes",
}
"""Kinds of finding with which training or testing would fail or go wrong."""

WARNINGS = {
    "bits": "the existence bits of the list are not those of the mask",
    "disagree": "mask and lanes show other places: annotations from before April 2018, or another image's",
    "duplicate": "two lanes of an image lie upon each other",
    "outside": "a lane has points far outside its image",
    "short": "a lane has fewer than two points",
    "count": "a split has another number of images or lanes than the official data set",
}
"""Kinds of finding that a person should look at."""

OFFICIAL: dict[str, dict[str, tuple[int, int | None]]] = {
    "culane": {"train": (88_880, None), "val": (9_675, 32_682), "test": (34_680, 104_886)},
    "tusimple": {"train": (3_268, 13_219), "val": (358, 1_118), "test": (2_782, 9_947)},
}
"""Images and annotated lanes of the official splits."""


class Finding(NamedTuple):
    """Something wrong: its kind (see `ERRORS` and `WARNINGS`), the image or split, and what it is."""

    kind: str
    name: str
    detail: str


class ImageReport(NamedTuple):
    """What was found out about one image.

    Attributes:
        lanes: Number of annotated lanes.
        findings: What is wrong.
    """

    lanes: int
    findings: list[Finding]


def check_data(module: LaneDataModule, workers: int | None = None) -> dict[str, Any]:
    """Reads every file of a data set once.

    Args:
        module: The data set.
        workers: Number of processes, as for `map_parallel`.

    Returns:
        `{"ok": bool, "splits": {split: {"images", "lanes", "official_images", "official_lanes"}}, "findings":
        {kind: {"severity", "meaning", "count", "examples"}}}`; ok if there are no errors.
    """
    splits: dict[str, dict[str, int | None]] = {}
    findings: list[Finding] = []
    for split in SPLITS:
        try:
            source = module.source(split)
        except LgadError as error:
            findings.append(Finding("split", split, str(error)))
            continue
        work = partial(check_image, source, _bits(source, split))
        reports = map_parallel(work, range(len(source)), f"Checking {split}", workers)
        findings += [finding for report in reports for finding in report.findings]
        images, lanes = len(reports), sum(report.lanes for report in reports)
        official = _official(source, split)
        splits[split] = {
            "images": images,
            "lanes": lanes,
            "official_images": official[0],
            "official_lanes": official[1],
        }
        findings += _compare(split, (images, lanes), official)
    return {"ok": not any(f.kind in ERRORS for f in findings), "splits": splits, "findings": _summary(findings)}


def check_image(source: LaneSource, bits: Sequence[str] | None, index: int) -> ImageReport:
    """Looks at the image, the lanes and the label map of one sample.

    Args:
        source: The split.
        bits: Existence bits by image, like `1110`, where a list has them.
        index: Number of the image.
    """
    name = source.names[index]
    findings: list[Finding] = []
    lanes: list[Lane] = []
    height, width = CULANE_SIZE
    try:
        height, width = source.image(index).shape[:2]
    except LgadError as error:
        findings.append(Finding("image", name, str(error)))
    try:
        lanes = source.lanes(index, (height, width))
    except LgadError as error:
        findings.append(Finding("lanes", name, str(error)))
    if findings:
        return ImageReport(len(lanes), findings)
    findings += [Finding(kind, name, f"{name}: {detail}") for kind, detail in _look_at_lanes(lanes)]
    frame = Frame(height, width)
    try:
        label = source.label(index, frame, (height, width))
    except LgadError as error:
        return ImageReport(len(lanes), [*findings, Finding("label", name, str(error))])
    if bits is not None:
        shown = "".join(str(int((label == slot).any())) for slot in range(1, source.num_slots + 1))
        if shown != bits[index]:
            findings.append(Finding("bits", name, f"{name}: the list says {bits[index]}, the mask shows {shown}"))
    if isinstance(source, CULaneSource) and source.masks is not None:
        drawn = LaneSource.label(source, index, frame, (height, width)) > 0
        union = np.count_nonzero(drawn | (label > 0))
        overlap = np.count_nonzero(drawn & (label > 0)) / union if union else 1.0
        if overlap < 0.5:
            findings.append(Finding("disagree", name, f"{name}: mask and lanes share {overlap:.0%} of their pixels"))
    return ImageReport(len(lanes), findings)


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


def _bits(source: LaneSource, split: str) -> list[str] | None:
    """The existence bits in CULane's list of a split."""
    path = source.root / "list" / f"{split}_gt.txt"
    if not isinstance(source, CULaneSource) or source.masks is None or not path.is_file():
        return None
    bits = ["".join(line.split()[2:]) for line in path.read_text().splitlines() if line.strip()]
    return bits if all(len(text) == source.num_slots for text in bits) and len(read_list(path)) == len(bits) else None


def _official(source: LaneSource, split: str) -> tuple[int | None, int | None]:
    if (source.root / MANIFEST).is_file():
        return None, None
    layout = {CULaneSource: "culane", TuSimpleSource: "tusimple"}.get(type(source))
    return OFFICIAL[layout][split] if layout else (None, None)


def _compare(split: str, found: tuple[int, int], official: tuple[int | None, int | None]) -> list[Finding]:
    hint = " (92,946 is what annotations from before April 2018 have)" if found[1] == 92_946 else ""
    return [
        Finding("count", split, f"{split} has {number:,} {what}, the official one {expected:,}{hint}")
        for what, number, expected in zip(("images", "lanes"), found, official, strict=True)
        if expected is not None and number != expected
    ]


def _summary(findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
    counts = Counter(finding.kind for finding in findings)
    return {
        kind: {
            "severity": "error" if kind in ERRORS else "warning",
            "meaning": meaning,
            "count": counts[kind],
            "examples": [finding.detail for finding in findings if finding.kind == kind][:5],
        }
        for kind, meaning in (ERRORS | WARNINGS).items()
        if kind in counts
    }


def open_data(root: Path, layout: str = "auto", **options: Any) -> LaneDataModule:
    """The data module for a folder.

    Args:
        root: Folder of the data set.
        layout: `culane`, `tusimple`, `folder`, or `auto` to look.
        options: Arguments of the data module.

    Raises:
        LgadError: If the folder has none of the layouts.
    """
    signs: dict[str, tuple[type[LaneDataModule], list[str]]] = {
        "culane": (CULaneDataModule, ["list/*.txt"]),
        "tusimple": (TuSimpleDataModule, ["label_data_*.json", "train_set", "test_set"]),
        "folder": (LaneFolderDataModule, ["train", "train.jsonl", "test", "test.jsonl"]),
    }
    for name, (module, patterns) in signs.items():
        if layout == name or (layout == "auto" and any(any(root.glob(pattern)) for pattern in patterns)):
            made: LaneDataModule = module(root, **options)
            return made
    raise LgadError(
        f"{root} has none of the known layouts: list/*.txt (CULane), label_data_*.json or train_set/ (TuSimple), "
        "train/ or train.jsonl (a folder of one's own). Check the path, or name the layout with --layout."
    )
