"""Reads every file of a data set, and reports problems that would make a training fail or go wrong."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from lgad_lightning.callbacks.prediction_files import check_names
from lgad_lightning.curation.causes import add_reach, clips_in_two_splits, label_causes, reach, size_causes
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.data.synthetic.generate import MANIFEST
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SIZE, IGNORE_INDEX, Frame, Lane
from lgad_lightning.longwork.resumable import accumulate

ERRORS = {
    "split": "a split cannot be opened",
    "image": "an image is missing, damaged or no image",
    "lanes": "an annotation of lanes is missing or garbled",
    "label": "a mask is missing, damaged, of another size, has other values than classes, or ignores every lane",
    "names": "predictions for two images would be one file, since their names differ in their endings alone",
    "none": "no image of a split has a lane",
}
"""Kinds of findings that would make a training or test fail or go wrong."""

WARNINGS = {
    "damaged": "an image decodes, but parts of it may be garbage",
    "twice": "an image is listed twice, in one split or in two",
    "bits": "the existence bits of the list are not those of the label map",
    "disagree": "mask and lanes show other places or classes: annotations from before April 2018, or another image's",
    "unused": "an image has lanes that get no slot: to the network they are background",
    "duplicate": "two lanes of an image lie upon each other",
    "exchanged": "x and y of the lanes have changed places",
    "size": "the lanes are those of images of another size, or of a resized copy",
    "order": "left and right are exchanged: slots go from the left to the right of the image",
    "double": "a class holds two lanes, where each should have a class of its own",
    "empty": "no lane is annotated, but the mask shows some",
    "clip": "frames of one clip are in two splits: what is tested was nearly seen in training",
    "outside": "a lane has points far outside its image",
    "short": "a lane has fewer than two points",
    "count": "a split has another number of images or lanes than the official data set",
}
"""Kinds of findings that a person should look at."""

_VERSION = 5  # increase it if the checks of an image change; then interrupted checks start again
_EXAMPLES = 5  # most examples of each kind of finding


class Finding(NamedTuple):
    """A problem: its kind (see `ERRORS` and `WARNINGS`), the image or split, and a description."""

    kind: str
    name: str
    detail: str


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


def check_data(module: LaneDataModule, workers: int | None = None) -> dict[str, Any]:
    """Reads every file of a data set once. After an interruption, the next call continues.

    Args:
        module: The data set.
        workers: Number of processes, as for `map_parallel`.

    Returns:
        `{"ok": bool, "splits": {split: {"images", "lanes", "official_images", "official_lanes"}}, "findings":
        {kind: {"severity", "meaning", "count", "examples"}}}`. `ok` is true if there are no errors. Scenarios of the
        test split are listed beside the splits, like `test: night`.
    """
    state: dict[str, Any] = {"images": {}, "lanes": {}, "counts": {}, "examples": {}, "reach": {}}
    early: list[Finding] = []
    sources: dict[Split, LaneSource] = {}
    for split in SPLITS:
        try:
            sources[split] = module.open(split)
        except LgadError as error:
            early.append(Finding("split", split, str(error)))
    if "test" in sources and module.protocol.format == "culane":
        try:
            check_names(sources["test"].names)
        except LgadError as error:
            early.append(Finding("names", "test", str(error)))
    items = [(split, index) for split, source in sources.items() for index in range(len(source))]
    bits = {split: found for split, source in sources.items() if (found := source.existence_bits())}
    state = accumulate(
        partial(check_image, sources, bits),
        items,
        _add,
        state,
        "Checking images",
        workers,
        key=f"check {_VERSION} {module.packed or module.root.resolve()} {type(module).__name__} {module.num_slots}"
        f"{module.reading} {'' if module.packed else _digest(sources, bits)}",
        files=lambda item: sources[item[0]].files(item[1]),
    )
    groups = {group: (count, state["lanes"][group]) for group, count in state["images"].items()}
    generated = module.packed or (module.root / MANIFEST).is_file()
    official = {} if generated else module.official
    apart = dict(sources)
    if "val" in sources and "test" in sources and list(sources["val"].names) == list(sources["test"].names):
        del apart["test"]  # intended if the labels of the official test images are not public
    late = [*_listed_twice(apart), *_compare(groups, official)]
    if not state["counts"].keys() & {"image", "lanes"}:
        late += _without_lanes(groups)
    late += [Finding("clip", clip, detail) for clip, detail in clips_in_two_splits(apart)]
    for split, total in state["reach"].items():
        late += [Finding(kind, split, f"{split}: {detail}") for kind, detail in size_causes(total)]
    for finding in [*early, *late]:
        _count(state, finding)
    splits = {
        group: {
            "images": images,
            "lanes": lanes,
            "official_images": official[group].images if group in official else None,
            "official_lanes": official[group].lanes if group in official else None,
        }
        for group, (images, lanes) in groups.items()
    }
    return {"ok": not state["counts"].keys() & ERRORS.keys(), "splits": splits, "findings": _summary(state)}


def _digest(sources: Mapping[Split, LaneSource], bits: Mapping[Split, Sequence[str]]) -> str:
    """A digest of what the lists say of the images: names, scenarios and existence bits."""
    digest = hashlib.sha256()
    for split, source in sources.items():
        digest.update(f"{split} {source.stroke}".encode())
        for index, name in enumerate(source.names):
            told = f"{name} {source.scenario(index)} {bits[split][index] if split in bits else ''}\n"
            digest.update(told.encode(errors="surrogatepass"))
    return digest.hexdigest()


def check_image(
    sources: Mapping[Split, LaneSource], bits: Mapping[Split, Sequence[str]], item: tuple[Split, int]
) -> ImageReport:
    """Checks the image, the lanes and the label map of one sample.

    Args:
        sources: The splits.
        bits: Existence bits of each image, like `1110`, for the splits whose list has them.
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
    findings += _look_at_label(source, index, (height, width), bits.get(split))
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
    source: LaneSource, index: int, image_size: tuple[int, int], bits: Sequence[str] | None
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


def _compare(found: Mapping[str, tuple[int, int]], official: Mapping[str, OfficialCounts]) -> Iterable[Finding]:
    for group, counts in found.items():
        if group not in official:
            continue
        expected = official[group]
        hint = f" ({expected.mistaken[counts[1]]})" if counts[1] in expected.mistaken else ""
        for what, number, right in zip(("images", "lanes"), counts, expected[:2], strict=True):
            if right is not None and number != right:
                yield Finding("count", group, f"{group} has {number:,} {what}, the official one {right:,}{hint}")


def _without_lanes(found: Mapping[str, tuple[int, int]]) -> Iterable[Finding]:
    for split in ("train", "val"):  # the labels of a test may not be public
        images, lanes = found.get(split, (0, 0))
        if images and not lanes:
            yield Finding("none", split, f"{split} has {images:,} images and no lane: are the right labels chosen?")


def _listed_twice(sources: Mapping[Split, LaneSource]) -> Iterable[Finding]:
    seen: dict[str, str] = {}
    for split, source in sources.items():
        for name in source.names:
            if name in seen:
                yield Finding("twice", name, f"{name} is in {seen[name]} and again in {split}")
            seen[name] = split


def _add(state: dict[str, Any], report: ImageReport) -> None:
    for group in report.groups:
        state["images"][group] = state["images"].get(group, 0) + 1
        state["lanes"][group] = state["lanes"].get(group, 0) + report.lanes
    if report.reach is not None:
        add_reach(state["reach"].setdefault(report.groups[0], {}), report.reach)
    for finding in report.findings:
        _count(state, finding)


def _count(state: dict[str, Any], finding: Finding) -> None:
    state["counts"][finding.kind] = state["counts"].get(finding.kind, 0) + 1
    examples = state["examples"].setdefault(finding.kind, [])
    if len(examples) < _EXAMPLES:
        examples.append(finding.detail)


def _summary(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        kind: {
            "severity": "error" if kind in ERRORS else "warning",
            "meaning": meaning,
            "count": state["counts"][kind],
            "examples": state["examples"][kind],
        }
        for kind, meaning in (ERRORS | WARNINGS).items()
        if kind in state["counts"]
    }
