from pathlib import Path

from lgad_lightning.errors import LgadError


def check_new_folder(folder: Path) -> None:
    """Refuses to write a data set where something else is.

    Args:
        folder: Where it is to be written.

    Raises:
        LgadError: If it is a file, a folder that is not empty, or a mount point, which cannot be replaced.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise LgadError(f"{folder} exists and is not empty: give a folder that is new or empty.")
    if folder.resolve().is_mount():
        raise LgadError(f"{folder} is a mount point: give a new folder in it, like {folder / 'data'}.")


def take_place(part: Path, folder: Path) -> None:
    """Moves a complete folder to its place, where `check_new_folder` has found nothing.

    If this is the current folder, it is filled, because a shell would stay in the one that was replaced.

    Args:
        part: The folder. It is in the same file system.
        folder: Its place.
    """
    if folder.exists() and folder.samefile(Path.cwd()):
        for path in part.iterdir():
            path.rename(folder / path.name)
        part.rmdir()
    else:
        part.replace(folder)
