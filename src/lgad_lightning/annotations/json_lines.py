"""Reads JSON lines, one image in each line. Opening reads only the names. A line is parsed when it is needed."""

import re
from array import array
from codecs import BOM_UTF8
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from lgad_lightning.annotations.json_files import read_part
from lgad_lightning.annotations.polylines import ImageLanes, polyline
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.files import tusimple_frame
from lgad_lightning.lanes.json_lines import parse_json_line
from lgad_lightning.lanes.lists import check_image_name

_KEYS = {"image", "lanes", "slots"}
_NAME = re.compile(rb'"(?:image|raw_file)"\s*+:\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+")')


class JsonLines:
    """A file of JSON lines, our own or TuSimple's. A line is parsed when its image is needed.

    Opening only looks for the names. Errors in the lanes of an image are found when the lanes are read.

    Args:
        path: The file.
        num_slots: Number of slots. Larger numbers in `slots` are refused. None or 1: up to 254 are allowed.

    Raises:
        LgadError: If there is no such file, or a line names no image.
    """

    def __init__(self, path: Path, num_slots: int | None = None) -> None:
        self.path, self.num_slots = path, num_slots
        names: list[str] = []
        starts = array("q", [0])
        blank = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    starts.append(starts[-1] + len(line))
                    if line.isspace():
                        blank = blank or number
                    elif blank:
                        raise LgadError(f"{path}:{blank}: not JSON: an empty line")
                    else:
                        names.append(self._name(line, number))
        except OSError as error:
            raise LgadError(f"{path}: cannot read the file ({error.strerror}); check the path") from error
        self.names = Strings(names)
        self._starts = np.array(starts, np.int64)

    def record(self, index: int) -> ImageLanes:
        """Reads the image of a line, and its lanes.

        Args:
            index: Number of the line, from 0.

        Raises:
            LgadError: If the line is not valid, or has changed since the file was opened. The message gives the file
                and the line.
        """
        start, end = self._starts[index : index + 2].tolist()
        found = self._parse(read_part(self.path, start, end), index + 1)
        if found.image != self.names[index]:
            raise LgadError(f"{self.path}:{index + 1}: names another image than when the file was opened.")
        return found

    def _name(self, line: bytes, number: int) -> str:
        """The name of the image in a line. If the key is easy to find, the line is not parsed."""
        keys = line.count(b'"image"') + line.count(b'"raw_file"')
        found = _NAME.search(line) if keys == 1 and line.rstrip().endswith(b"}") else None
        if found is None:
            return self._parse(line, number).image
        where = f"{self.path}:{number}"
        name = (
            parse_json_line(found[1], where) if b"\\" in found[1] or not found[1].isascii() else found[1][1:-1].decode()
        )
        check_image_name(name, where)
        return str(name)

    def _parse(self, line: bytes, number: int) -> ImageLanes:
        where = f"{self.path}:{number}"
        record = parse_json_line(line.removeprefix(BOM_UTF8) if number == 1 else line, where)
        if isinstance(record, dict) and "raw_file" in record:
            frame = tusimple_frame(record, where)
            lanes = [polyline(lane.points.tolist(), where) for lane in frame.lanes if len(lane)]  # some are all -2
            found = ImageLanes(frame.raw_file, lanes)
        else:
            found = _own(record, where, self.num_slots)
        check_image_name(found.image, where)
        return found


def _own(record: Any, where: str, num_slots: int | None) -> ImageLanes:
    match record:
        case {"image": str(image), "lanes": list(lanes)} if image:
            polylines = [polyline(lane, f"{where}: lane {number}") for number, lane in enumerate(lanes, start=1)]
        case _:
            raise LgadError(
                f'{where}: expected {{"image": "path.jpg", "lanes": [[[x, y], ...], ...]}}, or TuSimple\'s "raw_file", '
                '"lanes" and "h_samples".'
            )
    for key in record.keys() - _KEYS:  # users may add other keys, unless they look like a typing error
        if meant := get_close_matches(key.lower(), _KEYS, n=1, cutoff=0.8):
            raise LgadError(f"{where}: the key {key!r} is not known; is {meant[0]!r} meant?")
    slots, most = record.get("slots"), num_slots if num_slots and num_slots > 1 else 254  # one slot holds all lanes
    if "slots" in record:
        known = isinstance(slots, list) and all(type(slot) is int and 1 <= slot <= most for slot in slots)
        if not known or len(slots) != len(lanes) or len(set(slots)) < len(slots):
            raise LgadError(
                f"{where}: slots {slots} must be different numbers from 1 to {most}, one for each of the "
                f"{len(lanes)} lanes."
            )
    return ImageLanes(image, polylines, slots)
