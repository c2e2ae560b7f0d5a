"""`lgad-data`: generates, checks, counts and shows data sets."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lgad_lightning import __version__
from lgad_lightning.commands.console import CommandParser, run_command
from lgad_lightning.commands.outputs import (
    Recognise,
    check_output,
    json_bytes,
    json_with,
    picture_bytes,
    picture_of,
    write_output,
)
from lgad_lightning.commands.report import plain_console
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.curation.pack import pack
from lgad_lightning.curation.preview import contact_sheet
from lgad_lightning.curation.statistics import FIGURES, MEASURES, data_statistics
from lgad_lightning.data import LaneAugmentation, LaneDataModule
from lgad_lightning.data.source import SPLITS
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.errors import LgadError

_MEANINGS = "; ".join(f"{name}: {meaning}" for name, meaning in MEASURES.items())
_STATS, _PREVIEW = "lgad-data stats", "lgad-data preview"
_CAPTION = f"pixels: share of them; then mean ± deviation of {_MEANINGS}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    run_command("lgad-data", lambda: options.run(options), "; the same command goes on from here")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("lgad-data", description="Generate, check, count and show data sets of lanes.")
    parser.add_argument("--version", action="version", version=f"lgad-data {__version__}")
    commands = parser.add_subparsers(required=True, metavar="{synth,pack,check,stats,preview}")
    synth = commands.add_parser("synth", help="generate road scenes in CULane's layout")
    synth.set_defaults(run=_synth)
    synth.add_argument("folder", type=Path, metavar="DIR", help="folder to write, new or empty")
    defaults = SyntheticData()
    for split in SPLITS:
        number = getattr(defaults, split)
        synth.add_argument(
            f"--{split}", type=_whole(0), default=number, metavar="N", help=f"images (default: {number})"
        )
    synth.add_argument("--size", type=_size, default="1640x590", metavar="WxH", help="size of the images")
    synth.add_argument("--seed", type=_whole(0), default=0, help="seed of the scenes (default: 0)")

    pack_ = commands.add_parser("pack", help="write large chunks to stream from (needs litdata: the extra `stream`)")
    pack_.set_defaults(run=_pack)

    check = commands.add_parser("check", help="read every file; exit code 1 when training would go wrong")
    check.set_defaults(run=_check)
    stats = commands.add_parser("stats", help="lane geometry, class balance and existence patterns")
    stats.set_defaults(run=_stats)
    stats.add_argument("--picture", type=Path, metavar="OUT.png", help="write a picture of where lanes are")
    preview = commands.add_parser(
        "preview", help="a contact sheet of what the network sees, before and after augmentation"
    )
    preview.set_defaults(run=_preview)
    preview.add_argument(
        "--out", type=Path, default=Path("preview.png"), metavar="OUT.png", help="default: preview.png"
    )
    preview.add_argument("--images", type=_whole(1), default=8, metavar="N", help="number of images (default: 8)")
    preview.add_argument("--flip", type=float, default=0.5, help="probability of mirroring (default: 0.5)")
    preview.add_argument("--rotate", type=float, default=3.0, help="largest angle in degrees (default: 3)")
    preview.add_argument("--zoom", type=float, default=1.05, help="largest enlargement (default: 1.05)")

    for command in (pack_, check, stats, preview):
        command.add_argument("folder", type=Path, metavar="DIR", help="folder of the data set")
        layouts = ("auto", "culane", "tusimple", "folder")
        command.add_argument("--layout", choices=layouts, default="auto", help="default: auto, which looks")
        command.add_argument("--slots", type=_whole(1), metavar="N", help="lane slots (default: 4, TuSimple 6)")
    pack_.add_argument("out", type=Path, metavar="OUT", help="folder to write, new or empty")
    for command in (stats, preview):
        command.add_argument("--split", choices=SPLITS, default="train", help="default: train")
        command.add_argument("--input-size", type=_size, default="800x288", metavar="WxH", help="default: 800x288")
        command.add_argument(
            "--crop-top", type=_whole(0), default=0, metavar="ROWS", help="rows to cut off first (default: 0)"
        )
    for command in (check, stats):
        command.add_argument("--json", type=Path, metavar="OUT", help="write the figures as JSON")
    for command in (check, stats, preview):
        command.add_argument("--overwrite", action="store_true", help="write even over files of other origin")
    for command in (synth, pack_, check, stats):
        command.add_argument(
            "--workers", type=_whole(0), metavar="N", help="number of processes (default: one per core)"
        )
    return parser


def _whole(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not below `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least {least}")
        return int(text)

    return read


def _size(text: str) -> tuple[int, int]:
    """`WxH` as height and width."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: give width and height, like 800x288")
    return int(found[2]), int(found[1])


def _open(options: argparse.Namespace, **settings: Any) -> LaneDataModule:
    if not options.folder.is_dir():
        raise LgadError(f"There is no folder {options.folder}; check the path.")
    if options.slots is not None:
        settings["num_slots"] = options.slots
    return open_data(options.folder, options.layout, **settings)


def _synth(options: argparse.Namespace) -> int:
    data = SyntheticData(options.train, options.val, options.test, options.size, options.seed)
    generate(data, options.folder, options.workers)
    print(f"{options.folder} holds {data.train} training, {data.val} validation and {data.test} test images.")
    return 0


def _pack(options: argparse.Namespace) -> int:
    pack(_open(options), options.out, options.workers)
    print(f"Packed {options.folder} into {options.out}.")
    return 0


def _check(options: argparse.Namespace) -> int:
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


def _stats(options: argparse.Namespace) -> int:
    _look_at(options.json, json_with(*FIGURES), options)
    _check_picture(options.picture)
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
    console.print(f"{figures['images']:,} images, {figures['lanes_per_image']:.2f} lanes an image")
    return 0


def _preview(options: argparse.Namespace) -> int:
    _check_picture(options.out)
    _look_at(options.out, picture_of(_PREVIEW), options)
    augmentation = LaneAugmentation(options.flip, options.rotate, options.zoom)
    module = _open(options, input_size=options.input_size, crop_top=options.crop_top, augmentation=augmentation)
    write_output(options.out, picture_bytes(contact_sheet(module, options.split, options.images), _PREVIEW))
    print(f"Wrote {options.out}.")
    return 0


def _look_at(path: Path | None, recognise: Recognise, options: argparse.Namespace) -> None:
    """Refuses a file that is not to be written, before the long work."""
    if path is not None:
        check_output(path, recognise, options.overwrite)


def _check_picture(path: Path | None) -> None:
    """Refuses other names than `.png`."""
    if path is not None and path.suffix.lower() != ".png":
        raise LgadError(f"{path} is no name of a picture: it must end in .png.")


if __name__ == "__main__":
    main()
