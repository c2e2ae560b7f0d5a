"""Writes a data set in another layout."""

import filecmp
import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import cv2

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.find_files import IMAGES
from lgad_lightning.data.prediction_files import check_names
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SLOTS, IGNORE_INDEX, Lane, tusimple_row, write_lines
from lgad_lightning.lanes.lists import MASKS
from lgad_lightning.longwork.locked import locked
from lgad_lightning.longwork.new_folder import check_new_folder, take_place
from lgad_lightning.longwork.parallel import map_parallel
from lgad_lightning.longwork.whole_file import copy_whole, write_whole

log = logging.getLogger(__name__)

Target = Literal["culane", "tusimple", "folder"]

_TUSIMPLE: dict[Split, str] = {"train": "label_data_0313", "val": "label_data_0531", "test": "test_label"}
_MOST = 2 / 3
_FIRST_ROW, _STEP, _HEIGHT = 160, 10, 720  # of TuSimple's h_samples, at TuSimple's height


class _Written(NamedTuple):
    """The facts about a written image that are needed for the lists."""

    name: str
    bits: str | None
    scenario: str | None
    record: str | None


def convert(module: LaneDataModule, folder: Path, to: Target, workers: int | None = None) -> dict[Split, int]:
    """Writes a data set in another layout: unchanged images, lanes, and masks if the layout can have them.

    Everything is written to a hidden folder beside `folder`, which gets the name of `folder` at the end. If a call is
    interrupted, the next one continues. Lanes keep their points; in TuSimple's layout, they have points in every tenth
    row (of 720). Only TuSimple's layout keeps lanes without points. It has no masks. CULane's layout gets masks only
    with four slots.

    Args:
        module: The data set. Splits that cannot be opened are left out; a warning says why.
        folder: The folder to write. It must be new or empty.
        to: The layout.
        workers: Number of processes, as for `map_parallel`.

    Returns:
        The number of images by split.

    Raises:
        LgadError: If the folder is in use, if no split can be opened, if the data set reads images in its own way, if
            two images would have the same name or an
            image would not be found by its name, or if a file cannot be read or written.
    """
    if module.packed:
        raise LgadError(f"{module.packed} is packed: convert what it was made from.")
    folder = folder.resolve()
    check_new_folder(folder)
    sources = dict(_sources(module))
    settings = (module.root.resolve(), type(module).__name__, f"{module.num_slots}{module.reading}")
    for source in sources.values():
        if type(source).image is not LaneSource.image:
            raise LgadError(
                f"{type(source).__name__} reads images in its own way, so their files may not fit the lanes: pack it "
                "(lgad-data pack), which keeps the images as they are read."
            )
    contents = " ".join([*map(str, settings), *(f"{one.fingerprint()} {one.traced}" for one in sources.values())])
    digest = hashlib.sha256(contents.encode(errors="surrogatepass")).hexdigest()[:12]
    partly = folder.with_name(f".{folder.name}.{to}.{digest}.partly")
    try:
        with locked(partly.with_suffix(".lock")):
            check_new_folder(folder)  # another process may have written it in the meantime
            _check_names(sources, to)
            if to == "culane":
                _check_masks([sources[split] for split in SPLITS if split != "test" and split in sources])
            for split, source in sources.items():
                work = partial(_write, source, partly, split, to)
                _LISTS[to](partly, split, map_parallel(work, range(len(source)), f"Converting {split}", workers))
            take_place(partly, folder)
    except OSError as error:
        raise LgadError(f"The data set cannot be written to {folder}: {error}. What is written is kept.") from error
    return {split: len(source) for split, source in sources.items()}


def _sources(module: LaneDataModule) -> Iterator[tuple[Split, LaneSource]]:
    faults: dict[Split, LgadError] = {}
    for split in SPLITS:
        try:
            if len(source := module.open(split)):
                yield split, source
        except LgadError as error:
            faults[split] = error
    if len(faults) == len(SPLITS):
        raise faults[SPLITS[0]]
    for split, fault in faults.items():
        log.warning("The split %s is left out: %s", split, fault)


def _check_names(sources: Mapping[Split, LaneSource], to: Target) -> None:
    """Refuses images that would have the same name in the new layout, or the same file of predictions."""
    seen: dict[str, str] = {}
    for split, source in sources.items():
        names = [_name(name, split, to) for name in source.names]
        check_names(names)
        before_names = (f"{source.root}/{name}" for name in source.names)
        for name, before in zip(names, before_names, strict=True):
            if seen.setdefault(name, before) != before:
                raise LgadError(f"{seen[name]} and {before} would both be called {name}: rename one of them.")
        if to == "folder":
            _check_found(names)
        twice = [name for name, count in Counter(source.names).items() if count > 1]
        if twice and to != "tusimple":  # this layout has a line for each image, and no file
            raise LgadError(f"{twice[0]} is listed twice for {split}, but can have one annotation only: remove one.")


def _check_masks(sources: Sequence[LaneSource]) -> None:
    """Refuses masks for only one of train and val. CULane's layout has one folder for both."""
    masked = {
        source.num_slots == CULANE_SLOTS and source.mask(0, source.image_size(0)) is not None for source in sources
    }
    if len(masked) == 2:
        raise LgadError(
            "Of train and val, only one has masks. In CULane's layout, both need masks then: add or take away masks, "
            "or convert to the layout folder."
        )


def _check_found(names: list[str]) -> None:
    """Refuses images that are not found in a folder by their names."""
    hidden = [name for name in names if re.search(r"(^|/)\.", name) or not name.lower().endswith(IMAGES)]
    if hidden:
        raise LgadError(
            f"{hidden[0]} would not be found in the layout `folder`: it finds {', '.join(IMAGES)} whose path has no "
            "name with a dot before it. Rename the image, or save it as one of these."
        )
    below = ["images" in name.split("/")[:-1] for name in names]
    if any(below) and not all(below):
        raise LgadError(
            f"{names[below.index(False)]} would not be found in the layout `folder`, because other images are in "
            "folders `images`: rename these folders."
        )


def _name(name: str, split: Split, to: Target) -> str:
    """The path of an image in the new layout. It has no blanks, because these end a name in lists, and no `..`."""
    image = PurePosixPath(re.sub(r"\s", "_", name))
    parts = ["__" if part == ".." else part for part in image.relative_to(image.anchor).parts]
    if parts[0] == split and len(parts) > 1:
        parts = parts[1:]
    if to == "tusimple":
        return PurePosixPath(*(parts if parts[0] == "clips" else ("clips", split, *parts))).as_posix()
    return PurePosixPath(split, *parts).as_posix()


def _write(source: LaneSource, folder: Path, split: Split, to: Target, index: int) -> _Written:
    """Writes one image and its annotations."""
    name = _name(source.names[index], split, to)
    image = source.image(index)
    size = (int(image.shape[0]), int(image.shape[1]))
    lanes = source.checked_lanes(index, size)
    _copy(source.root / source.names[index], folder / name)
    if to == "tusimple":
        return _Written(name, None, None, _record(name, lanes, size))
    bits = None
    mask = source.checked_mask(index, size)
    if mask is not None and (to == "folder" or source.num_slots == CULANE_SLOTS):
        if to == "folder" and source.num_slots == 1 and (mask == IGNORE_INDEX).any():
            raise LgadError(
                f"{source.names[index]} has ignored pixels. With one slot, the layout folder would read them as lane: "
                "give mask_values in which they are 0."
            )
        place = MASKS[split] if to == "culane" else "masks"
        path = folder / place / PurePosixPath(name).with_suffix(".png")
        write_whole(path, cv2.imencode(".png", mask)[1].tobytes())
        bits = "".join(str(int((mask == slot).any())) for slot in range(1, source.num_slots + 1))
    if to == "culane" or mask is None or not source.traced:  # traced lanes can be traced from the mask again
        visible = [lane for lane in lanes if len(lane)]  # TuSimple also has lanes that are in no row
        visible = [lane.bottom_up() for lane in visible] if to == "culane" else visible
        write_lines((folder / name).with_suffix(".lines.txt"), visible)
    return _Written(name, bits, source.scenario(index), None)


def _copy(image: Path, target: Path) -> None:
    """Copies an image, unless an earlier call has already copied it."""
    if not (target.is_file() and filecmp.cmp(image, target, shallow=False)):
        copy_whole(image, target)


def _record(name: str, lanes: list[Lane], size: tuple[int, int]) -> str:
    """A line of TuSimple's label files."""
    step = max(1, round(_STEP * size[0] / _HEIGHT))
    rows = list(range(round(_FIRST_ROW * size[0] / _HEIGHT), size[0], step))
    if size[0] == _HEIGHT:
        rows = [row for row in rows if row <= 710]
    return json.dumps({"lanes": [_columns(lane, rows) for lane in lanes], "h_samples": rows, "raw_file": name})


def _columns(lane: Lane, rows: list[int]) -> list[float]:
    """X in each row, -2 if the lane is not there. A lane with points in most of its rows keeps its gaps."""
    spanned = [row for row in rows if len(lane) and lane.points[:, 1].min() <= row <= lane.points[:, 1].max()]
    gaps = len(lane) > _MOST * len(spanned)
    found = tusimple_row(lane, rows) if gaps else lane.x_at(rows).tolist()
    return [round(x, 2) if x >= 0 else -2 for x in found]


def _write_text(path: Path, lines: list[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in lines))


def _culane_lists(folder: Path, split: Split, images: list[_Written]) -> None:
    lists = folder / "list"
    if split == "test":
        _write_text(lists / "test.txt", [f"/{image.name}" for image in images])
        scenarios = dict.fromkeys(image.scenario for image in images)
        for number, scenario in enumerate(scenarios if None not in scenarios else ()):
            chosen = [f"/{image.name}" for image in images if image.scenario == scenario]
            _write_text(lists / "test_split" / f"test{number}_{scenario}.txt", chosen)
    elif all(image.bits for image in images):
        masks = [PurePosixPath(MASKS[split], image.name).with_suffix(".png") for image in images]
        lines = [f"/{i.name} /{mask} {' '.join(i.bits or '')}" for i, mask in zip(images, masks, strict=True)]
        _write_text(lists / f"{split}_gt.txt", lines)
    else:
        _write_text(lists / f"{split}.txt", [f"/{image.name}" for image in images])


def _tusimple_lists(folder: Path, split: Split, images: list[_Written]) -> None:
    _write_text(folder / f"{_TUSIMPLE[split]}.json", [image.record or "" for image in images])
    if split == "train":
        _write_text(folder / "label_data_0601.json", [])  # the second file of `train` must exist


def _no_lists(folder: Path, split: Split, images: list[_Written]) -> None:
    """Writes nothing, because a folder of your own data needs no lists."""


_LISTS: dict[Target, Callable[[Path, Split, list[_Written]], None]] = {
    "culane": _culane_lists,
    "tusimple": _tusimple_lists,
    "folder": _no_lists,
}
