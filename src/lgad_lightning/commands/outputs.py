"""The files that a command writes at its end. It checks them before the work, and keeps other files of the user."""

import csv
import io
import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lgad_lightning.drawing import Picture, png_of
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import write_whole

Recognise = Callable[[bytes], bool]
"""Whether the content of a file is something that a command wrote to such a file before."""

_PNG_HEADER = 33  # bytes of a PNG's signature and of its first chunk


def check_output(path: Path, recognise: Recognise, overwrite: bool = False) -> None:
    """Checks whether a file may be written, before the work and not after it.

    Args:
        path: The file. Its folder is made if it is missing.
        recognise: Recognises a file that the same command wrote. It may be replaced.
        overwrite: Whether any other file may be replaced, too.

    Raises:
        LgadError: If the folder cannot be written to, or if there is something that must not be replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
        if not (path.exists() or path.is_symlink()):
            return
        if not path.is_file():
            raise LgadError(f"{path} cannot be written: it is there, and is no file. Give another name.")
        if not (overwrite or recognise(path.read_bytes())):
            raise LgadError(
                f"{path} is there already, and this command has not written it: give another name, or --overwrite to "
                "replace it."
            )
    except OSError as error:
        raise LgadError(f"{path} cannot be written: {error}. Give a file in a folder you may write to.") from error


def check_distinct(outputs: Mapping[str, Path | None]) -> None:
    """Refuses two outputs in one file.

    Args:
        outputs: The files by option, None where the option is not given.

    Raises:
        LgadError: If two of them are the same file, also under two names.
    """
    seen: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is not None and (other := seen.setdefault(path.resolve(), option)) != option:
            raise LgadError(f"{other} and {option} are both the file {path}: give two names.")


def write_output(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all.

    Args:
        path: The file. `check_output` has checked it.
        content: What to write.

    Raises:
        LgadError: If it cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise LgadError(f"{path} cannot be written: {error}.") from error


def json_with(*keys: str, optional: frozenset[str] = frozenset()) -> Recognise:
    """Recognises a JSON object with these keys and no others."""

    def recognise(content: bytes) -> bool:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and found.keys() - optional == set(keys)

    return recognise


def json_bytes(value: Any) -> bytes:
    """A value as JSON for people to read."""
    return f"{json.dumps(value, indent=2)}\n".encode()


def csv_with(*header: str) -> Recognise:
    """Recognises a table by its first line."""
    return lambda content: content.split(b"\n", 1)[0].strip() == ",".join(header).encode()


def csv_bytes(rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as CSV. Names keep the bytes that they have in their list. What is no text at all is escaped."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    try:
        return text.getvalue().encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.getvalue().encode(errors="backslashreplace")


def picture_of(command: str) -> Recognise:
    """Recognises a picture that `picture_bytes` made for the command."""
    return lambda content: content[_PNG_HEADER:].startswith(_signature(command))


def picture_bytes(picture: Picture, command: str) -> bytes:
    """Makes a PNG of RGB `(H, W, 3)` uint8. It says which command drew it."""
    content = png_of(picture)
    return content[:_PNG_HEADER] + _signature(command) + content[_PNG_HEADER:]


def _signature(command: str) -> bytes:
    """A text chunk of a PNG."""
    text = b"tEXtSoftware\0" + command.encode()
    return (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
