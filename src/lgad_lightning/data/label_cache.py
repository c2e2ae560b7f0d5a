"""The label maps of a split in one file, as run lengths. Reading one takes about 0.1 ms; its PNG takes 2.5 ms."""

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.run_lengths import decode_runs, encode_runs
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.file_state import file_state
from lgad_lightning.longwork.locked import locked
from lgad_lightning.longwork.parallel import map_parallel
from lgad_lightning.longwork.whole_file import whole_file

_MAGIC = b"lgad labels 2\n"
_FAILED = b"!"  # a record that begins so says why there is no label map; others begin with "x", as in zlib


def build_label_cache(
    path: Path,
    sources: Sequence[Sequence[Path]],
    make: Callable[[int], NDArray[np.uint8]],
    skip: bool = False,
    workers: int | None = None,
) -> None:
    """Writes a cache, unless there is already one that was made from the same files in their present state.

    The file is written completely or not at all. If several processes call it at the same time, they wait for the
    first one.

    Args:
        path: The cache file.
        sources: The files of each label map. Their sizes and times of change show whether they have changed.
        make: Makes a label map, given its number. It must be picklable.
        skip: Whether to leave out label maps that cannot be made, instead of raising. The next call tries them again.
        workers: Number of processes, as for `map_parallel`.

    Raises:
        LgadError: If a label map cannot be made.
        OSError: If the file cannot be written.
    """
    stamp = files_stamp(sources)
    if _is_current(path, stamp):
        return
    with locked(path.with_suffix(".lock")):
        if not _is_current(path, stamp):
            records = _kept(path, stamp, len(sources))
            missing = [index for index, record in enumerate(records) if record.startswith(_FAILED)]
            made = map_parallel(partial(_record, make, skip), missing, f"Caching labels in {path.name}", workers)
            for index, record in zip(missing, made, strict=True):
                records[index] = record
            offsets = np.cumsum([0, *map(len, records)], dtype=np.int64).tobytes()
            whole = not any(record.startswith(_FAILED) for record in records)
            header = {"stamp": stamp, "count": len(sources), "crc": zlib.crc32(offsets), "whole": whole}
            with whole_file(path) as part, part.open("wb") as file:
                file.writelines([_MAGIC, json.dumps(header).encode() + b"\n", offsets, *records])


class DamagedCacheError(LgadError):
    """The content of a cache is not what was written."""


class LabelCache:
    """Reads a cache of label maps. The file is mapped into memory, so that all workers share it.

    Args:
        path: The cache file.
        size: Height and width of the label maps.
        stamp: The `files_stamp` of the files from which the cache must have been made. None: any files.

    Raises:
        LgadError: If there is no such file, if it is damaged, or if it was made from other files.
    """

    def __init__(self, path: Path, size: tuple[int, int], stamp: str | None = None) -> None:
        header, start = _header(path)
        if stamp not in (None, header["stamp"]):
            raise LgadError(f"The label cache {path} is not of the files' present state: prepare_data makes it anew.")
        self.path = path
        self.size = size
        self.whole = bool(header["whole"])
        self._bytes = np.memmap(path, np.uint8, "r")
        offsets = self._bytes[start : start + 8 * (header["count"] + 1)]
        if zlib.crc32(offsets.tobytes()) != header["crc"]:
            raise self._damaged()
        if start + len(offsets) + int(np.frombuffer(offsets.tobytes(), np.int64)[-1]) != len(self._bytes):
            raise self._damaged()
        self._offsets = offsets.tobytes()
        self._records = start + len(offsets)

    def record(self, index: int) -> bytes:
        """The stored bytes of a label map."""
        start, end = np.frombuffer(self._offsets, np.int64, 2, 8 * index) + self._records
        return self._bytes[start:end].tobytes()

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        record = self.record(index)
        if record.startswith(_FAILED):
            raise LgadError(record[len(_FAILED) :].decode())
        try:
            return decode_runs(record, self.size)
        except (zlib.error, ValueError) as error:
            raise self._damaged() from error

    def _damaged(self) -> "DamagedCacheError":
        return DamagedCacheError(f"The label cache {self.path} is damaged: the next run makes it anew.")


def _record(make: Callable[[int], NDArray[np.uint8]], skip: bool, index: int) -> bytes:
    try:
        return encode_runs(make(index))
    except LgadError as error:
        if skip:
            return _FAILED + str(error).encode(errors="replace")
        raise


def _kept(path: Path, stamp: str, count: int) -> list[bytes]:
    """The records in the present cache of the same files. A failed or missing record begins with `_FAILED`."""
    try:
        cache = LabelCache(path, (0, 0), stamp)
        return [cache.record(index) for index in range(count)]
    except (LgadError, OSError, ValueError):
        return [_FAILED] * count


def _is_current(path: Path, stamp: str) -> bool:
    try:
        return LabelCache(path, (0, 0), stamp).whole
    except (LgadError, OSError, ValueError):
        return False


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a cache and its length."""
    try:
        with path.open("rb") as file:
            if file.readline() == _MAGIC:
                header = json.loads(file.readline())
                if isinstance(header, dict) and header.keys() == {"stamp", "count", "crc", "whole"}:
                    return header, file.tell()
    except FileNotFoundError as error:
        raise LgadError(f"There is no label cache {path}: prepare_data makes it.") from error
    except ValueError:
        pass
    raise LgadError(f"{path} is no label cache of this version: the next run makes it anew.")


def files_stamp(sources: Sequence[Sequence[Path]]) -> str:
    """Computes a digest of the present state of files, and of which label map is made from which.

    Args:
        sources: The files of each label map.
    """
    digest = hashlib.sha256()
    numbers: dict[Path, int] = {}
    for files in sources:
        for path in files:
            if path not in numbers:
                numbers[path] = len(numbers)
                digest.update(file_state(path).encode(errors="surrogatepass"))
            digest.update(b"%d," % numbers[path])
        digest.update(b";")
    return digest.hexdigest()
