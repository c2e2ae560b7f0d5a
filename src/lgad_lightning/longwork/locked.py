from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock during a `with` block. Other processes that want the same lock wait.

    Args:
        path: The file of the lock. A missing folder is made.

    Raises:
        OSError: If the file cannot be made. (A `FileLock` alone would wait forever in places like `/proc`.)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("ab").close()
    with FileLock(path):
        yield
