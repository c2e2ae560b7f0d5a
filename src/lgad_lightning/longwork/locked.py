from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same lock waiting while the block lasts.

    Args:
        path: The lock's file; its folder is made where it is missing.

    Raises:
        OSError: If the file cannot be made; a `FileLock` alone would wait for ever in places like `/proc`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("ab").close()
    with FileLock(path):
        yield
