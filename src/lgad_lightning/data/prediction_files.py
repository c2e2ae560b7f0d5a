"""Checks where predictions may be written: in a folder that holds nothing else."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from lgad_lightning.data.find_files import PREDICTED
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import prediction_name

_LONGEST = 255  # bytes of the name of a file


def prediction_path(folder: Path, name: str) -> Path:
    """Return the file for the lanes of an image. It is always inside the folder.

    Args:
        folder: The folder of the predictions.
        name: The name of the image in its list.

    Raises:
        LgadError: If no file can have this name, or if a link in the folder leads out of it.
    """
    path = folder / prediction_name(name)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise LgadError(f"{path.parent} is a link that leads out of {folder}: remove it, or give another folder.")
    return path


def check_names(names: Iterable[str]) -> None:
    """Refuse names of images whose lanes would be written to the same file, or to one whose name is too long.

    Args:
        names: The names of the images. A name that occurs twice is one image.

    Raises:
        LgadError: If there are such names. The message gives the first ones.
    """
    owners: dict[PurePath, str] = {}
    for name in dict.fromkeys(names):
        path = prediction_name(name)
        if len(os.fsencode(path.name)) > _LONGEST:
            raise LgadError(f"{name}: the file of its lanes, {path.name}, would have too long a name: shorten it.")
        other = owners.setdefault(path, name)
        if other != name:
            raise LgadError(
                f"The predictions of {other} and {name} would be one file, because their names differ only in parts "
                "that the name of the file does not keep: rename one of the images."
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder with files that no prediction writer has made.

    Args:
        folder: The folder of the predictions. It need not exist.

    Raises:
        LgadError: If there is such a file, or if the path is not a folder.
    """
    if folder.exists() and not folder.is_dir():
        raise LgadError(f"{folder} is a file: give a folder for the predictions.")
    if folder.is_dir() and not (folder / PREDICTED).is_file() and any(folder.iterdir()):
        raise LgadError(
            f"{folder} holds files that are not predictions of this package. They are not replaced: give "
            "a new or an empty folder for the predictions."
        )


def check_folder_of_test(folder: Path) -> None:
    """Refuse a folder with files that are not predictions of a test.

    Args:
        folder: The folder of the predictions. It need not exist.

    Raises:
        LgadError: See `check_folder`. Or if it holds predictions of `lgad-predict`.
    """
    check_folder(folder)
    marker = folder / PREDICTED
    if marker.is_file() and len(marker.read_text(encoding="utf-8").splitlines()) > 1:
        raise LgadError(f"{folder} holds predictions of lgad-predict: give another folder for those of a test.")


def lane_files(folder: Path) -> list[Path]:
    """Find the files of lanes in a folder of predictions.

    Args:
        folder: The folder of the predictions.
    """
    return list(folder.rglob("*.lines.txt"))


def empty_folder(folder: Path) -> None:
    """Remove the predictions of an earlier test, so that those of two models are never mixed.

    Args:
        folder: The folder of the predictions. If `claim_folder` has not marked it, nothing is removed.

    Raises:
        LgadError: See `check_folder_of_test`.
    """
    check_folder_of_test(folder)
    if not (folder / PREDICTED).is_file():
        return
    for path in (*lane_files(folder), folder / "predictions.json"):
        path.unlink(missing_ok=True)


def claim_folder(folder: Path) -> None:
    """Make the folder and mark it as a folder of predictions.

    Args:
        folder: The folder of the predictions.

    Raises:
        LgadError: If it holds files that no prediction writer has made, or if it cannot be written to.
    """
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PREDICTED).write_text(
            "Predicted lanes of lgad-lightning: the next test or prediction replaces them.\n"
        )
    except OSError as error:
        raise LgadError(f"The predictions cannot be written to {folder}: {error}.") from error
