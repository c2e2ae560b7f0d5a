from pathlib import Path

from lgad_lightning.errors import LgadError


def check_new_folder(folder: Path) -> None:
    """Refuses to write a data set where something else is.

    Args:
        folder: Where it is to be written.

    Raises:
        LgadError: If it is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LgadError(f"{folder} exists and is not empty: give a folder that is new or empty.")
