"""Finds files in folders."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lgad_lightning.errors import LgadError

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PREDICTED = ".lgad-predictions"
"""A file that marks a folder of predictions."""
RUN = ".lgad-fit.lock"
"""A file that marks the folder of a run of `lgad-fit`."""


def find_files(root: Path, folder: Path, endings: tuple[str, ...] = IMAGES) -> list[str]:
    """Finds the files in a folder and its subfolders. It reads each folder once, even if several links lead to it.

    Hidden files and folders are left out, because other systems leave files like `._0.jpg` beside `0.jpg`. Folders of
    predictions and of runs are left out, too: their pictures are no data.

    Args:
        root: The folder where the returned paths begin.
        folder: The folder to search, below the root.
        endings: The endings of the files to find, in lower case.

    Returns:
        The paths below the root with slashes, folder by folder.

    Raises:
        LgadError: If a folder cannot be read.
    """
    found: list[str] = []
    for parent, folders, names in walk(folder):
        place = parent.relative_to(root).as_posix()
        before = "" if place == "." else f"{place}/"
        found += [before + name for name in names if name[0] != "." and name.lower().endswith(endings)]
        folders[:] = sorted(name for name in folders if may_hold_data(parent / name))
    return sorted(found, key=lambda name: name.split("/"))


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Visits a folder and its subfolders like `os.walk`, also behind links, and each of them once.

    Args:
        folder: The folder.

    Yields:
        A folder, with the names of its subfolders and of its files. What is removed from the first is not visited.

    Raises:
        LgadError: If a folder cannot be read.
    """
    seen: set[Path] = set()
    waiting = [folder]
    for start in waiting:
        for parent, folders, names in os.walk(start, onerror=_refuse_unreadable):
            if (resolved := Path(parent).resolve()) in seen:
                folders.clear()
                continue
            seen.add(resolved)
            yield Path(parent), folders, names
            waiting += [path for name in folders if (path := Path(parent, name)).is_symlink()]


def may_hold_data(folder: Path) -> bool:
    """Whether a folder is not hidden, nor one of predictions or of a run. `os.walk` tells what cannot be entered."""
    return folder.name[0] != "." and not any(os.path.isfile(folder / mark) for mark in (PREDICTED, RUN))  # noqa: PTH113


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise LgadError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error
