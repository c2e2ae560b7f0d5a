"""Reads files with one JSON value per line."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lgad_lightning.errors import LgadError


def read_json_lines(path: str | Path, strict: bool = False) -> list[Any]:
    """Reads the values of a file with one JSON value per line, see `iterate_json_lines`."""
    return [value for _, value in iterate_json_lines(path, strict)]


def iterate_json_lines(path: str | Path, strict: bool = False) -> Iterator[tuple[str, Any]]:
    """Yields the lines of a file with one JSON value per line, each with its value.

    Args:
        path: The file.
        strict: Whether to read as the official TuSimple tool does. It refuses a byte-order mark at the front and blank
            lines at the end, and keys may occur twice.

    Raises:
        LgadError: If there is no such file, or if a line is not JSON (a blank line is not). The message names file and
            line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8" if strict else "utf-8-sig")
    except OSError as error:
        raise LgadError(f"{path}: cannot read the file ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise LgadError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    for number, line in enumerate(split_lines(text if strict else text.rstrip()), start=1):
        yield line, parse_json_line(line, f"{path}:{number}", strict)


def parse_json_line(line: str | bytes, where: str, strict: bool = False) -> Any:
    """Parses the value of a line.

    Args:
        line: The line, as text or in UTF-8.
        where: File and line, for the error message.
        strict: Whether keys may occur twice.

    Raises:
        LgadError: If it is not JSON, or not UTF-8.
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        return json.loads(text, object_pairs_hook=None if strict else unique_keys)
    except LgadError as error:
        raise LgadError(f"{where}: {error}") from error
    except UnicodeDecodeError as error:
        raise LgadError(f"{where}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise LgadError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number with thousands of digits, or thousands of nested brackets
        raise LgadError(f"{where}: not JSON of a sensible size: {error}") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a JSON object. Refuses one that has a key twice, because only one of its values would remain.

    Raises:
        LgadError: If a key occurs twice. The message names the key.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise LgadError(f"the key {twice[:40]!r} occurs twice.")
    return found


def split_lines(text: str) -> list[str]:
    """Splits a text into lines, without the empty line after its last line break."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]
