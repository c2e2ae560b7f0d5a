"""Work on many files at once, with a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lgad_lightning.errors import LgadError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 1024  # so many results wait at most for the one that asks for them


def map_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], description: str, workers: int | None = None
) -> list[Result]:
    """Calls a function on every item, in several processes, under a progress bar.

    Args:
        function: Picklable; it sees one item.
        items: What to work on.
        description: Text before the bar.
        workers: Number of processes; None for one per core, 0 for this process.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: The first one that the function raises; what has not begun is then dropped.
        LgadError: If a worker was killed.

    Example:
        >>> map_parallel(abs, [-2, 1], "Taking absolute values", workers=0)
        [2, 1]
    """
    return list(iterate_parallel(function, items, description, workers))


def iterate_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    description: str,
    workers: int | None = None,
    start: int = 0,
) -> Iterator[Result]:
    """Like `map_parallel`, but gives results as they come, in order, for those that do not fit into memory together.

    Args:
        function: Picklable; it sees one item.
        items: What to work on.
        description: Text before the bar.
        workers: Number of processes; None for one per core, 0 for this process.
        start: Number of items at the front that are done already; the bar begins behind them.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=len(items), completed=start)
        for result in _run(function, items[start:], cores() if workers is None else workers):
            yield result
            progress.advance(task)


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    if workers == 0 or len(items) < 2:
        yield from map(function, items)
        return
    workers = min(workers, len(items))
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(function,)) as pool:
        try:
            for start in range(0, len(items), _AT_ONCE):
                part = items[start : start + _AT_ONCE]
                with _interrupts_wait():
                    results = pool.map(_call, part, chunksize=min(16, -(-len(part) // (4 * workers))))
                yield from results
        except BrokenProcessPool as error:
            raise LgadError(
                f"One of {workers} worker processes was killed, perhaps for want of memory: try fewer workers."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Holds Ctrl-C back while workers start: they inherit that, and so do not die before they are ready for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


_function: Callable[[Any], Any]  # of a worker: sent once, since it may carry the lists of a whole data set


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    cv2.setNumThreads(0)  # no threads of OpenCV in a worker; 1 waits for ever, now and then, in a forked one
    signal.signal(signal.SIGINT, _drop_the_rest)  # Ctrl-C reaches the whole group; the parent sees to it
    end_with_parent()


def _drop_the_rest(*_: object) -> None:
    """Lets a worker end what it is at, and begin nothing more of what it was sent already."""
    global _function
    _function = _interrupt


def _interrupt(item: object) -> NoReturn:
    raise KeyboardInterrupt


def end_with_parent() -> None:
    """Sees to it that this worker ends at once when its parent was killed; it would wait for work, or long for it."""
    threading.Thread(target=_wait_for_parents_end, daemon=True).start()


def _wait_for_parents_end() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(item: Any) -> Any:
    return _function(item)
