"""Works on many files, and continues after an interruption."""

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

_SECONDS = 10.0  # between two saves


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
    """Calls a function on every item in several processes, and adds the results. It continues after an interruption.

    The sum so far is saved every ten seconds and at an interruption. It is in the folder of the environment variable
    `LGAD_CACHE`, or in `~/.cache/lgad-lightning`, and is removed at the end. A call with the same key continues with
    it, unless files of finished items have changed.

    Args:
        function: Called with one item. It must be picklable.
        items: The items.
        add: Adds the result of the next item to the state.
        state: The first state: strings, numbers and tensors, in dictionaries and lists.
        description: Text before the progress bar.
        workers: Number of processes; see `map_parallel`.
        key: One line that identifies the work and its input.
        files: The files that the result of an item depends on.

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
            log.warning("%s: continuing after %d of %d, where an earlier run ended.", description, done, len(items))
        else:
            digest = hashlib.sha256()
            log.warning("%s: files have changed since an earlier run was interrupted; starting again.", description)
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
        if done and whole:  # not while a result is being added
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
    except Exception:  # missing or damaged: the work starts again
        return None
    return found


def _save(path: Path, done: int, files: str, state: dict[str, Any]) -> bool:
    """Saves the state, and returns whether this worked."""
    try:
        with whole_file(path) as part:
            torch.save({"done": done, "files": files, "state": state}, part)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError if the disk is full
        log.warning("The work so far cannot be saved in %s (%s): an interruption would lose it.", path, error)
        return False
    return True
