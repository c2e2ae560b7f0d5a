"""Reads every file of a data set, and reports problems that would make a training fail or go wrong."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lgad_lightning.curation.causes import add_reach, clips_in_two_splits, size_causes
from lgad_lightning.curation.check_image import ImageReport, check_image
from lgad_lightning.curation.findings import ERRORS, WARNINGS, Finding
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.prediction_files import check_names
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.data.synthetic.generate import MANIFEST
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.resumable import accumulate

_VERSION = 6  # increase it if the checks of an image change; then interrupted checks start again
_EXAMPLES = 5  # most examples of each kind of finding


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
        partial(check_image, sources, bits, module.preprocessing.input_size[1]),
        items,
        _add,
        state,
        "Checking images",
        workers,
        key=f"check {_VERSION} {module.packed or module.root.resolve()} {type(module).__name__} {module.num_slots}"
        f"{module.reading} {module.preprocessing.input_size[1]} {'' if module.packed else _digest(sources, bits)}",
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
