"""Reads the values of command-line options. Errors say what is wrong."""

import argparse
import re
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """Makes a function that reads whole numbers of at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least {least}")
        return int(text)

    return read


def ratio(text: str) -> float:
    """Reads a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to 1")
    return number


def width_height(text: str) -> tuple[int, int]:
    """Reads `WxH` as height and width."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: give width and height, like 1640x590")
    return int(found[2]), int(found[1])


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Adds `--layout` and `--set`, which say how a data set is read."""
    parser.add_argument(
        "--layout",
        default="auto",
        metavar="NAME",
        help="name of a layout, like culane, or package.Class (default: auto, found by its files)",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="other arguments of the data module, like split=0.8/0.1/0.1 or 'mask_values={255: 1}'",
    )
