"""Where predictions may be written: inside one folder that holds nothing of anybody else's."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import prediction_name

MARKER = ".lgad-predictions"


def prediction_path(folder: Path, name: str) -> Path:
    """The file for the lanes of an image, always inside the folder.

    Args:
        folder: The predictions' folder.
        name: The image's name in its list.

    Raises:
        LgadError: If no file can have the name, or a link in the folder leads out of it.
    """
    path = folder / prediction_name(name)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise LgadError(f"{path.parent} is a link that leads out of {folder}: remove it, or give another folder.")
    return path


def check_names(names: Iterable[str]) -> None:
    """Refuses names of images whose lanes would be written to one file.

    Args:
        names: The images' names; a name that occurs twice is one image.

    Raises:
        LgadError: Naming the first two such images.
    """
    owners: dict[PurePath, str] = {}
    for name in dict.fromkeys(names):
        other = owners.setdefault(prediction_name(name), name)
        if other != name:
            raise LgadError(
                f"The predictions of {other} and {name} would be one file, since their names differ in nothing that it "
                "is named after: rename one of the images."
            )


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds files which no prediction writer has made.

    Args:
        folder: The predictions' folder; it need not exist.

    Raises:
        LgadError: If there is such a file, or the place is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise LgadError(f"{folder} is a file: give a folder for the predictions.")
    if folder.is_dir() and not (folder / MARKER).is_file() and any(folder.iterdir()):
        raise LgadError(
            f"{folder} holds files that are no predictions of this package, and none of them is to be replaced: give "
            "a new or an empty folder for the predictions."
        )


def claim_folder(folder: Path) -> None:
    """Makes the folder and marks it as one for predictions.

    Args:
        folder: The predictions' folder.

    Raises:
        LgadError: If it holds files that no prediction writer has made, or cannot be written to.
    """
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("Predicted lanes of lgad-lightning: the next test or prediction replaces them.\n")
    except OSError as error:
        raise LgadError(f"The predictions cannot be written to {folder}: {error}.") from error
