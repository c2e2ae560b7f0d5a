"""Reads files of annotations, completely or in part."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.json_lines import unique_keys

_LARGEST = 2**30  # bytes; the annotations of 100,000 images have some hundred million


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the errors of reading a file in a `with` block into a clear message.

    Args:
        path: The file.

    Raises:
        LgadError: If the block cannot read the file.
    """
    try:
        yield
    except OSError as error:
        raise LgadError(f"{path}: cannot read the file ({error.strerror}); check the path.") from error


def read_text(path: Path) -> str:
    """Reads the text of a file.

    Args:
        path: The file, UTF-8 with or without a byte-order mark.

    Raises:
        LgadError: If there is no such file, if it is not text, or if it is too large for annotations (1 GiB).
    """
    check_length(path)
    try:
        with reading(path):
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LgadError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from error


def check_length(path: Path) -> int:
    """Returns the length of a file in bytes, and refuses files that are too large for annotations.

    Args:
        path: The file.

    Raises:
        LgadError: If there is no such file, or if it is larger than 1 GiB.
    """
    with reading(path):
        length = path.stat().st_size
    if length > _LARGEST:
        raise LgadError(f"{path}: more than {_LARGEST >> 20} MB, which no annotations have.")
    return length


def read_part(path: Path, start: int, end: int) -> bytes:
    """Reads some bytes of a file.

    Args:
        path: The file.
        start: Position of the first byte.
        end: Position after the last byte.

    Raises:
        LgadError: If the file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def read_json(path: Path) -> Any:
    """Reads the value of a JSON file.

    Args:
        path: The file.

    Raises:
        LgadError: If it is not JSON, or if an object in it has the same key twice.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise LgadError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}.") from error
    except LgadError as error:
        raise error if str(error).startswith(str(path)) else LgadError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise LgadError(f"{path}: not JSON of a sensible size: {error}.") from error
