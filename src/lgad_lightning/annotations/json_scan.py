"""Finds where the objects of a large JSON file begin and end. It counts the braces, block by block."""

from codecs import BOM_UTF8
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError

_BLOCK = 1 << 20  # bytes that are read together
_LARGEST_OUTLINE = 1 << 26  # largest number of bytes of a file outside its objects
_QUOTE, _BACKSLASH, _OPEN, _CLOSE = b'"\\{}'


class FoundObjects(NamedTuple):
    """The objects of a JSON file, and the rest of the file.

    Attributes:
        starts: The position of the first byte of each object.
        ends: The position after the last byte of each object.
        heads: The numbers of the objects that begin a run. A run is a series of objects with only commas between them.
        outline: The file with `{}` in place of each run.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    heads: NDArray[np.int64]
    outline: bytes


def find_objects(path: Path) -> FoundObjects:
    """Finds the objects in a JSON file. They are in a list, or in the values of the outer object.

    Args:
        path: The file.

    Raises:
        LgadError: If an object has no end, or if more than 64 MB of the file lie outside of objects.
        OSError: If the file cannot be read.
    """
    starts, ends, heads, outline = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], [b""]
    base = length = 0
    braces: _Braces | None = None
    with path.open("rb") as file:
        while (data := np.fromfile(file, np.uint8, _BLOCK)).size:
            content = data.tobytes()
            if braces is None:
                braces = _Braces(1 if content.removeprefix(BOM_UTF8).lstrip()[:1] == b"[" else 2)
            first = [] if braces.within else [0]
            begin, end = braces.objects(data)
            last = [] if braces.within else [data.size]
            lefts, rights = np.append(first, end).astype(np.int64), np.append(begin, last).astype(np.int64)
            kept = ~_only_commas(data, lefts, rights)
            kept[begin.size :] = True  # a gap that may continue in the next block
            gaps = zip(lefts[kept].tolist(), rights[kept].tolist(), strict=True)
            outline.append(b"{}".join(content[left:right] for left, right in gaps))
            if braces.within and begin.size:
                outline.append(b"{}")
            if (length := length + len(outline[-1])) > _LARGEST_OUTLINE:
                raise LgadError(f"{path}: {length >> 20} MB of it lie outside of objects: it holds no annotations.")
            heads.append(kept[: begin.size])
            starts.append(begin + base)
            ends.append(end + base)
            base += data.size
    found = np.concatenate(starts)
    if braces is not None and braces.within:
        raise LgadError(f"{path}: not JSON: the object that begins at byte {found[-1]} has no end.")
    return FoundObjects(found, np.concatenate(ends), np.flatnonzero(np.concatenate(heads)), b"".join(outline))


class _Braces:
    """Finds where the objects at one depth begin and end, block by block.

    Args:
        cut: The depth of the objects, in braces.
    """

    def __init__(self, cut: int) -> None:
        self.cut, self.depth, self.in_string, self.escaped = cut, 0, False, False

    @property
    def within(self) -> bool:
        """Whether the next block begins inside an object."""
        return self.depth >= self.cut

    def objects(self, data: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The positions in a block where objects begin, and the positions after their ends.

        Args:
            data: The block.
        """
        quotes = self._quotes(data).view(np.uint8)
        braces = np.flatnonzero((data == _OPEN) | (data == _CLOSE))
        counts = np.add.reduceat(quotes, np.append(0, braces), dtype=np.uint8)
        inside = (np.cumsum(counts, dtype=np.uint8) + np.uint8(self.in_string)) % 2  # at each brace, and at the end
        braces, self.in_string = braces[inside[:-1] == 0], bool(inside[-1])
        opened = data[braces] == _OPEN
        depths = self.depth + np.cumsum(np.where(opened, 1, -1))
        self.depth = int(depths[-1]) if braces.size else self.depth
        return braces[opened & (depths == self.cut)], braces[~opened & (depths == self.cut - 1)] + 1

    def _quotes(self, data: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Marks where strings begin and end. These are the quotes that are not escaped."""
        quotes: NDArray[np.bool_] = data == _QUOTE
        slashes = np.flatnonzero(data == _BACKSLASH)
        if self.escaped:
            quotes[0], slashes = False, slashes[slashes > 0]
        self.escaped = False
        if slashes.size:
            begins = np.diff(slashes, prepend=-2) > 1  # of runs of backslashes; every second one escapes the next byte
            run = slashes[begins][np.cumsum(begins) - 1]
            behind = slashes[(slashes - run) % 2 == 0] + 1
            self.escaped = bool(behind[-1] == data.size)
            quotes[behind[behind < data.size]] = False
        return quotes


def _only_commas(data: NDArray[np.uint8], lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a gap between two objects is only a comma with at most one blank, and the gap before it too.

    The first such gap of a run is kept in the outline. So a comma that must not be there is still found.

    Args:
        data: The block.
        lefts: Where the gaps begin.
        rights: Where the gaps end.
    """
    length = rights - lefts
    comma = data[lefts.clip(max=data.size - 1)] == ord(",")
    short = comma & ((length == 1) | (length == 2) & np.isin(data[(rights - 1).clip(min=0)], [ord(" "), ord("\n")]))
    return np.append(False, short[1:] & short[:-1])[: len(lefts)]
