"""Reads large JSON files. Opening a file only finds its objects. An object is parsed when it is needed."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.json_files import check_length, read_part, reading
from lgad_lightning.annotations.json_scan import find_objects
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.json_lines import parse_json_line, unique_keys

_BLOCK = 1 << 20  # bytes that are read together

Run = tuple[int, int]
"""One or more neighbouring objects in an outline: the number of the first, and the number after the last."""


class JsonObjects:
    """The objects of a JSON file: those in a list, or those in the values of the outer object.

    Opening finds where they begin and end, by the braces outside of strings. Errors inside an object are found only
    when it is read. The rest of the file is the outline, which is parsed as JSON immediately.

    Args:
        path: The file, UTF-8 with or without a byte-order mark.

    Attributes:
        path: The file.
        outline: The value of the file, with a `Run` in place of each run of objects.

    Raises:
        LgadError: If there is no such file, or if its outline is not JSON. The message gives the file and the place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_length(path)
        with reading(path):
            self._starts, self._ends, self._heads, outline = find_objects(path)
        self.outline = self._parse(outline)

    def column(self, key: str, numbers: NDArray[np.int64], what: str) -> Iterator[Any]:
        """Finds the value of a key in each of many objects, without parsing them.

        If an object has no such key, or if its value is of another kind, the same key of an inner object may be found
        instead. So compare the result with `value` when the object is read.

        Args:
            key: The key. Its value should be a whole number or text.
            numbers: The numbers of the objects, in the order of the file.
            what: The kind of the objects, for error messages.

        Raises:
            LgadError: If an object had to be parsed and is not valid.
        """
        pattern = re.compile(rb'"%s"\s*+:\s*+(-?\d{1,18}(?=\s*+[,}])|"[^"\\]*+(?:\\.[^"\\]*+)*+")' % key.encode())
        starts, ends = self._starts[numbers], self._ends[numbers]
        done = 0
        while done < len(starts):
            base = int(starts[done])
            until = max(done + 1, int(np.searchsorted(ends, base + _BLOCK)))
            block = read_part(self.path, base, int(ends[until - 1]))
            places = zip((starts[done:until] - base).tolist(), (ends[done:until] - base).tolist(), strict=True)
            texts = pattern.findall(block)
            if len(texts) == until - done:  # once in each object; if not, reading the objects finds the error
                yield from map(_plain_value, texts)
            else:
                for index, (start, end) in enumerate(places, start=done):
                    texts = pattern.findall(block, start, end)
                    where = f"{self.path}: {what} {index + 1}"
                    yield (
                        _plain_value(texts[0]) if len(texts) == 1 else parse_json_line(block[start:end], where).get(key)
                    )
            done = until

    def value(self, number: int, where: str) -> dict[str, Any]:
        """Reads an object.

        Args:
            number: The number of the object.
            where: The file and place, for the error message.

        Raises:
            LgadError: If the object is not valid, or if the file has changed since it was opened.
        """
        found = parse_json_line(read_part(self.path, int(self._starts[number]), int(self._ends[number])), where)
        if not isinstance(found, dict):
            raise LgadError(f"{where}: the file has changed since it was opened.")
        return found

    def _left_out(self, runs: int) -> int:
        """The number of bytes that the outline leaves out of the file in its first `runs` runs."""
        first, last = self._heads[:runs], np.append(self._heads, len(self._starts))[1:][:runs] - 1
        return int((self._ends[last] - self._starts[first] - len(b"{}")).sum())

    def _parse(self, outline: bytes) -> Any:
        heads = self._heads.tolist()
        runs = pairwise([*heads, len(self._starts)])

        def take(pairs: list[tuple[str, Any]]) -> Any:
            return unique_keys(pairs) if pairs else next(runs, {})

        try:
            return json.loads(outline.removeprefix(BOM_UTF8).decode(), object_pairs_hook=take)
        except UnicodeDecodeError as error:
            raise LgadError(f"{self.path}: not UTF-8 text ({error.reason}).") from error
        except json.JSONDecodeError as error:
            before = outline.removeprefix(BOM_UTF8).decode()[: error.pos].encode()
            place = len(before) + self._left_out(before.count(b"{}"))
            raise LgadError(f"{self.path}: not JSON: {error.msg} at byte {place}.") from error
        except LgadError as error:
            raise LgadError(f"{self.path}: {error}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
            raise LgadError(f"{self.path}: not JSON of a sensible size: {error}.") from error


def _plain_value(text: bytes) -> int | str:
    """Parses a whole number or a text. A text that is not valid becomes empty."""
    if not text.startswith(b'"'):
        return int(text)
    if b"\\" not in text and text.isascii():
        return text[1:-1].decode()
    try:
        return str(json.loads(text))
    except ValueError:
        return ""


def objects(outline: Any) -> NDArray[np.int64] | None:
    """The numbers of the objects in a list of an outline. None if it is not a list that has only objects."""
    if not isinstance(outline, list) or not all(isinstance(entry, tuple) for entry in outline):
        return None
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*run) for run in outline)])
