from pathlib import Path

from lgad_lightning.errors import LgadError


def check_new_folder(folder: Path) -> None:
    """Refuses to write a data set where something else is.

    Args:
        folder: Where it is to be written.

    Raises:
        LgadError: If it is a file, a folder that is not empty, or one that cannot be replaced.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise LgadError(f"{folder} exists and is not empty: give a folder that is new or empty.")
    resolved = folder.resolve()
    if resolved.is_mount() or Path.cwd().is_relative_to(resolved):
        kind = "is a mount point" if resolved.is_mount() else "holds the current folder"
        raise LgadError(f"{folder} {kind}, so it cannot be replaced: give a new folder, like {folder / 'data'}.")
