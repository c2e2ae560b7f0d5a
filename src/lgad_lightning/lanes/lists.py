"""CULane's lists of images, and its folders of masks."""

import re
from pathlib import Path

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.compact_strings import Strings

MASKS = {"train": "laneseg_label_w16", "val": "laneseg_label_w16", "test": "laneseg_label_w16_test"}
"""The folder of the masks of each split."""
_LONGEST, _LONGEST_PATH = 240, 3000  # characters of a file's name and of its path; systems allow 255 and 4096 bytes


def read_list(path: Path) -> Strings:
    """Reads the images that a CULane list names.

    Args:
        path: Lines of `image`, `image mask` or `image mask bit bit bit bit`; slashes at the front, trailing blanks and
            empty lines are ignored.

    Returns:
        Paths relative to the data set's root.

    Raises:
        LgadError: If a line is something else. The message names file and line.
    """
    return Strings(name for name, _ in read_pairs(path))


def read_pairs(path: Path) -> list[tuple[str, str | None]]:
    """Reads the images that a list names, each with its mask or other annotation. None if it has none.

    Args:
        path: As for `read_list`.

    Raises:
        LgadError: If a line is something else. The message names file and line.
    """
    pairs: list[tuple[str, str | None]] = []
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise LgadError(f"{path}: cannot read the list ({error.strerror}).") from error
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        name = fields[0].lstrip("/")
        if not name or len(fields) not in (1, 2, 6) or not set(fields[2:]) <= {"0", "1"}:
            raise LgadError(
                f"{path}:{number}: expected 'image', 'image mask' or 'image mask 1 1 1 0', found '{line[:120]}'."
            )
        if not _may_be_a_file(name):
            raise LgadError(f"{path}:{number}: {name[:120]!r} is no name of an image; is the list plain UTF-8 text?")
        pairs.append((name, fields[1].lstrip("/") if len(fields) > 1 else None))
    return pairs


def check_image_name(name: str, where: str | Path) -> None:
    """Refuses names of images that no file can have, or that cannot be printed, drawn or written to a table.

    Args:
        name: The image's path below its root.
        where: The file that names it, and the line if it is known, for the error message.

    Raises:
        LgadError: If it is such a name.

    Example:
        >>> check_image_name("monday/0001.jpg", "train.jsonl:1")
    """
    if not _may_be_a_file(name):
        raise LgadError(f"{where}: {name[:120]!r} is no name of an image.")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise LgadError(
            f"{where}: the name {name[:120]!r} is no UTF-8: rename the file, and name it so wherever it is listed."
        ) from error


def _may_be_a_file(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if "\0" in name or not parts or parts[-1] == "..":
        return False
    return len(name) < _LONGEST or (len(name) < _LONGEST_PATH and max(map(len, parts)) < _LONGEST)


def scenario_name(path: Path) -> str:
    """Returns the scenario of a list of test images: `night` for `test8_night.txt`."""
    return re.sub(r"^test\d+_", "", path.stem)
