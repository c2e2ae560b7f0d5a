"""Long work on many files that an interruption does not lose."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from lgad_lightning.longwork.file_state import file_state
from lgad_lightning.longwork.parallel import iterate_parallel
from lgad_lightning.longwork.whole_file import whole_file

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
State = TypeVar("State", bound=dict[str, Any])

_SECONDS = 10.0  # between two savings


def accumulate(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    add: Callable[[State, Result], None],
    state: State,
    description: str,
    workers: int | None = None,
    *,
    key: str,
    files: Callable[[Item], Iterable[Path]],
) -> State:
    """Calls a function on every item, in several processes, and adds the results up; goes on after an interruption.

    What is added up so far is saved every ten seconds and when the work is interrupted, in the folder that the
    environment variable `LGAD_CACHE` names or in `~/.cache/lgad-lightning`, and removed at the end. A call with the
    same key goes on with it, unless files of the items that were done have changed since.

    Args:
        function: Picklable; it sees one item.
        items: What to work on.
        add: Changes the state by the result of the next item.
        state: To begin with: strings, numbers and tensors, in dictionaries and lists.
        description: Text before the progress bar.
        workers: Number of processes, as for `map_parallel`.
        key: What the work is and on what, in one line.
        files: The files that an item's result depends on.

    Returns:
        The state after all items.
    """
    folder = Path(os.environ.get("LGAD_CACHE", "~/.cache/lgad-lightning")).expanduser() / "unfinished"
    path = folder / f"{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:16]}.pt"
    digest, done = hashlib.sha256(), 0
    if (found := _load(path)) is not None and found["done"] <= len(items):
        for item in items[: found["done"]]:
            _add_files(digest, files(item))
        if digest.hexdigest() == found["files"]:
            state, done = found["state"], found["done"]
            log.warning("%s: going on after %d of %d, where an earlier run ended.", description, done, len(items))
        else:
            digest = hashlib.sha256()
            log.warning("%s: files have changed since an earlier run was interrupted; beginning anew.", description)
    saved, whole = time.monotonic(), True
    try:
        for result in iterate_parallel(function, items, description, workers, start=done):
            whole = False
            add(state, result)
            _add_files(digest, files(items[done]))
            done += 1
            whole = True
            if time.monotonic() - saved > _SECONDS:
                kept = _save(path, done, digest.hexdigest(), state)
                saved = time.monotonic() if kept else float("inf")
    except BaseException:
        if done and whole:  # not in the midst of adding a result
            _save(path, done, digest.hexdigest(), state)
        raise
    with suppress(OSError):
        path.unlink()
    return state


def _add_files(digest: "hashlib._Hash", paths: Iterable[Path]) -> None:
    for path in paths:
        digest.update(file_state(path).encode(errors="surrogatepass"))


def _load(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:  # missing, or damaged in whatever way: the work begins anew
        return None
    return found


def _save(path: Path, done: int, files: str, state: dict[str, Any]) -> bool:
    """Returns whether it is saved."""
    try:
        with whole_file(path) as part:
            torch.save({"done": done, "files": files, "state": state}, part)
    except (OSError, RuntimeError) as error:  # torch's writer knows full disks as RuntimeError
        log.warning("What is done so far cannot be kept in %s (%s): an interruption would lose it.", path, error)
        return False
    return True
