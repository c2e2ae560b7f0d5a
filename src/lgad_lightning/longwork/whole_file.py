import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONG = 200  # bytes of a name, to which the name of a part adds some; file systems take 255


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Writes a file so that nobody ever sees half of it.

    Args:
        path: The file. A missing folder is made. An existing file is replaced at the end, or kept if writing fails. If
            it is a link, the file that it leads to is written.

    Yields:
        The path to write to, in the same folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "notes.txt")) as part:
        ...         _ = part.write_text("whole")
        ...     Path(folder, "notes.txt").read_text()
        'whole'
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path, ending: str = "") -> Path:
    """A new hidden name beside a file. No other process has it, also not on another machine with the same folder.

    Args:
        path: The file.
        ending: The end of the name, for libraries that choose the format by it.
    """
    name = path.name if len(os.fsencode(path.name)) < _LONG else hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.with_name(f".{name}.{uuid.uuid4().hex[:12]}.part{ending}")


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a content to a file so that nobody ever sees half of it.

    Args:
        path: The file; as for `whole_file`.
        content: A text is written in UTF-8.
    """
    with whole_file(path) as part:
        if isinstance(content, str):
            part.write_text(content, encoding="utf-8")
        else:
            part.write_bytes(content)


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file so that nobody ever sees half of it.

    Args:
        source: The file to copy.
        target: The new file. A missing folder is made, and an existing file is replaced.
    """
    with whole_file(target) as part:
        shutil.copyfile(source, part)
