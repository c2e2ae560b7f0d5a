"""The actions of the commands of `lgad-data`, with the options that `data` read."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from lgad_lightning.commands.figures import plain_console
from lgad_lightning.commands.named_data import open_named
from lgad_lightning.commands.outputs import (
    Recognise,
    check_distinct,
    check_output,
    json_bytes,
    json_with,
    picture_bytes,
    picture_of,
    write_output,
)
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.convert import convert as write_layout
from lgad_lightning.curation.pack import pack as write_chunks
from lgad_lightning.curation.preview import contact_sheet
from lgad_lightning.curation.statistics import FIGURES, MEASURES, data_statistics
from lgad_lightning.data import LaneAugmentation, LaneDataModule, LaneFolderDataModule
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.errors import LgadError

_MEANINGS = "; ".join(f"{name}: {meaning}" for name, meaning in MEASURES.items())
_STATS, _PREVIEW = "lgad-data stats", "lgad-data preview"
_CAPTION = f"pixels: share of them; then mean ± deviation of {_MEANINGS}"


def synth(options: argparse.Namespace) -> int:
    """Generates road scenes."""
    data = SyntheticData(options.train, options.val, options.test, options.size, options.seed)
    generate(data, options.folder, options.workers)
    print(f"{options.folder} holds {data.train} training, {data.val} validation and {data.test} test images.")
    return 0


def pack(options: argparse.Namespace) -> int:
    """Writes a data set as chunks to stream from."""
    write_chunks(_open(options), options.out, options.workers)
    print(f"Packed {options.folder} into {options.out}.")
    return 0


def convert(options: argparse.Namespace) -> int:
    """Writes a data set in another layout."""
    written = write_layout(_open(options), options.out, options.to, options.workers)
    counts = ", ".join(f"{count:,} for {split}" for split, count in written.items())
    print(f"Wrote {options.folder} to {options.out} in the layout {options.to}, images: {counts}.")
    return 0


def check(options: argparse.Namespace) -> int:
    """Reads every file and prints what was found. Returns 1 if training would go wrong."""
    _look_at(options.json, json_with("ok", "splits", "findings"), options)
    result = check_data(_open(options), options.workers)
    if options.json is not None:
        write_output(options.json, json_bytes(result))
    console = plain_console()
    splits = Table("split", "images", "official", "lanes", "official", title=f"{options.folder}")
    for split, counts in result["splits"].items():
        keys = ("images", "official_images", "lanes", "official_lanes")
        splits.add_row(split, *("-" if counts[key] is None else f"{counts[key]:,}" for key in keys))
    console.print(splits)
    if result["findings"]:
        findings = Table("finding", "", "count", "meaning and an example", show_lines=True)
        for kind, finding in result["findings"].items():
            text = f"{finding['meaning']}\n{finding['examples'][0]}"
            findings.add_row(kind, finding["severity"], f"{finding['count']:,}", text)
        console.print(findings)
    console.print("Ready for training." if result["ok"] else "Training would go wrong: see the errors above.")
    return 0 if result["ok"] else 1


def stats(options: argparse.Namespace) -> int:
    """Counts and measures the lanes of a split."""
    _look_at(options.json, json_with(*FIGURES), options)
    _check_picture(options.picture)
    check_distinct({"--json": options.json, "--picture": options.picture})
    _look_at(options.picture, picture_of(_STATS), options)
    module = _open(options, input_size=options.input_size, crop_top=options.crop_top)
    figures, picture = data_statistics(module, options.split, options.workers)
    if options.json is not None:
        write_output(options.json, json_bytes(figures))
    if options.picture is not None:
        write_output(options.picture, picture_bytes(picture, _STATS))
    console = plain_console()
    slots = Table("class", "pixels", *MEASURES, title=f"{options.split}", caption=_CAPTION)
    for column in slots.columns[2:]:
        column.no_wrap = True
    slots.add_row("background", f"{figures['class_share'][0]:.4f}")
    for slot, share in enumerate(figures["class_share"][1:], start=1):
        measured = (figures["geometry"][str(slot)] or {}).values()
        shown = (f"{value['mean']:.3g} ± {value['deviation']:.2g}" for value in measured)
        slots.add_row(str(slot), f"{share:.4f}", *shown)
    console.print(slots)
    patterns = Table("existence", "images", "share")
    for pattern, count in figures["existence"].items():
        patterns.add_row(pattern, f"{count:,}", f"{count / figures['images']:.3f}")
    console.print(patterns)
    lanes = figures["lanes_per_image"]
    single = len(figures["class_share"]) == 2  # one class for all lanes
    console.print(
        f"{figures['images']:,} images, {f'{lanes:.1%} with lanes' if single else f'{lanes:.2f} lanes an image'}"
    )
    return 0


def preview(options: argparse.Namespace) -> int:
    """Writes the contact sheet."""
    _check_picture(options.out)
    _look_at(options.out, picture_of(_PREVIEW), options)
    augmentation = LaneAugmentation(options.flip, options.rotate, options.zoom)
    module = _open(options, input_size=options.input_size, crop_top=options.crop_top, augmentation=augmentation)
    write_output(options.out, picture_bytes(contact_sheet(module, options.split, options.images), _PREVIEW))
    print(f"Wrote {options.out}.")
    return 0


def _look_at(path: Path | None, recognise: Recognise, options: argparse.Namespace) -> None:
    """Refuses a file that must not be written, before the long work."""
    if path is not None:
        check_output(path, recognise, options.overwrite)


def _check_picture(path: Path | None) -> None:
    """Refuses names that do not end in `.png`."""
    if path is not None and path.suffix.lower() != ".png":
        raise LgadError(f"{path} is no name of a picture: it must end in .png.")


def _open(options: argparse.Namespace, **settings: Any) -> LaneDataModule:
    """The data module of the folder. What is given by `--slots` and `--set` replaces other settings."""
    slots = {} if options.slots is None else {"num_slots": options.slots}
    module = open_named(options.folder, options.layout, options.set, **(settings | slots))
    if isinstance(module, LaneFolderDataModule):
        _check_outside(options)
    return module


def _check_outside(options: argparse.Namespace) -> None:
    """Refuses to write into a folder in which every image and every file of lanes belongs to the data."""
    folder = options.folder.resolve()
    for path in (getattr(options, name, None) for name in ("out", "json", "picture")):
        if path is not None and path.resolve().is_relative_to(folder):
            raise LgadError(f"{path} would be inside of {options.folder}, as if it were data: give a place outside.")
