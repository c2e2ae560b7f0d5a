"""`lgad-data`: generates, checks, counts and shows data sets."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from lgad_lightning import __version__
from lgad_lightning.commands.arguments import add_layout, at_least, width_height
from lgad_lightning.commands.console import CommandParser, run_command
from lgad_lightning.data.source import SPLITS
from lgad_lightning.data.synthetic import SyntheticData


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    run_command("lgad-data", lambda: _run(options), "; the same command goes on from here")


def _run(options: argparse.Namespace) -> int:
    from lgad_lightning.commands import data_actions  # imported here, because the help does not need torch

    action: Callable[[argparse.Namespace], int] = getattr(data_actions, options.command)
    return action(options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("lgad-data", description="Generate, check, count and show data sets of lanes.")
    parser.add_argument("--version", action="version", version=f"lgad-data {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{synth,convert,pack,check,stats,preview}")
    synth = commands.add_parser("synth", help="generate road scenes in CULane's layout")
    synth.add_argument("folder", type=Path, metavar="DIR", help="folder to write, new or empty")
    defaults = SyntheticData()
    for split in SPLITS:
        number = getattr(defaults, split)
        synth.add_argument(
            f"--{split}", type=at_least(0), default=number, metavar="N", help=f"images (default: {number})"
        )
    synth.add_argument("--size", type=width_height, default="1640x590", metavar="WxH", help="size of the images")
    synth.add_argument("--seed", type=at_least(0), default=0, help="seed of the scenes (default: 0)")

    pack_ = commands.add_parser("pack", help="write large chunks to stream from (needs litdata: the extra `stream`)")

    convert = commands.add_parser("convert", help="write a data set in another layout")
    convert.add_argument("--to", choices=("culane", "tusimple", "folder"), required=True, help="the layout to write")

    check = commands.add_parser("check", help="read every file; exit code 1 if training would go wrong")
    stats = commands.add_parser("stats", help="lane geometry, class balance and existence patterns")
    stats.add_argument("--picture", type=Path, metavar="OUT.png", help="write a picture of where lanes are")
    preview = commands.add_parser(
        "preview", help="a contact sheet of what the network sees, before and after augmentation"
    )
    preview.add_argument(
        "--out", type=Path, default=Path("preview.png"), metavar="OUT.png", help="default: preview.png"
    )
    preview.add_argument("--images", type=at_least(1), default=8, metavar="N", help="number of images (default: 8)")
    preview.add_argument("--flip", type=float, default=0.5, help="probability of mirroring (default: 0.5)")
    preview.add_argument("--rotate", type=float, default=3.0, help="largest angle in degrees (default: 3)")
    preview.add_argument("--zoom", type=float, default=1.05, help="largest enlargement (default: 1.05)")

    for command in (convert, pack_, check, stats, preview):
        command.add_argument("folder", type=Path, metavar="DIR", help="folder of the data set")
        add_layout(command)
        command.add_argument(
            "--slots", type=at_least(1), metavar="N", help="number of lane slots (default: that of the layout)"
        )
    for command in (convert, pack_):
        command.add_argument("out", type=Path, metavar="OUT", help="folder to write, new or empty")
    for command in (stats, preview):
        command.add_argument("--split", choices=SPLITS, default="train", help="default: train")
        command.add_argument(
            "--input-size", type=width_height, default="800x288", metavar="WxH", help="default: 800x288"
        )
        command.add_argument(
            "--crop-top", type=at_least(0), default=0, metavar="ROWS", help="rows to cut off first (default: 0)"
        )
    for command in (check, stats):
        command.add_argument("--json", type=Path, metavar="OUT", help="write the figures as JSON")
    for command in (check, stats, preview):
        command.add_argument(
            "--overwrite", action="store_true", help="also replace files that another program has written"
        )
    for command in (synth, convert, pack_, check, stats):
        command.add_argument(
            "--workers", type=at_least(0), metavar="N", help="number of processes (default: one per core)"
        )
    return parser


if __name__ == "__main__":
    main()
