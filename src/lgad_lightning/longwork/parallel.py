"""Works on many items in several processes, with a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
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

_AT_ONCE = 1024  # largest number of results that wait to be taken


def map_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], description: str, workers: int | None = None
) -> list[Result]:
    """Calls a function on every item in several processes, with a progress bar.

    Args:
        function: Called with one item. It must be picklable.
        items: The items.
        description: Text before the bar.
        workers: Number of processes. None: one per core. 0: no other process.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: The first exception of the function. Items that have not begun are then dropped.
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
) -> Generator[Result, None, None]:
    """Like `map_parallel`, but yields the results one by one, in order. So they need not fit into memory together.

    If not all results are taken, the generator must be closed: this ends the workers.

    Args:
        function: Called with one item. It must be picklable.
        items: The items.
        description: Text before the bar.
        workers: Number of processes. None: one per core. 0: no other process.
        start: Number of items that are done already. They are skipped, and the bar begins there.
    """
    with progress_bar() as progress:
        task = progress.add_task(description, total=len(items), completed=start)
        for result in _run(function, items[start:], cores() if workers is None else workers):
            yield result
            progress.advance(task)


def progress_bar() -> Progress:
    """Makes a bar on standard error that counts what is done and says how long the rest takes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
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
                f"One of {workers} worker processes was killed, perhaps because the memory was full: try fewer workers."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Delays Ctrl-C while workers start. They inherit this, so they do not die before they can handle it."""
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


_function: Callable[[Any], Any]  # of a worker: sent once, because it may hold the lists of a whole data set


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    cv2.setNumThreads(0)  # no threads of OpenCV in a worker; with 1, a forked worker sometimes waits forever
    signal.signal(signal.SIGINT, _drop_the_rest)  # Ctrl-C reaches the whole group; the parent handles it
    end_with_parent()


def _drop_the_rest(*_: object) -> None:
    """Lets a worker finish its current item, and skip the items that wait."""
    global _function
    _function = _interrupt


def _interrupt(item: object) -> NoReturn:
    raise KeyboardInterrupt


def end_with_parent() -> None:
    """Ends this worker at once if its parent is killed. Otherwise it would go on or wait forever."""
    threading.Thread(target=_wait_for_parents_end, daemon=True).start()


def _wait_for_parents_end() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(item: Any) -> Any:
    return _function(item)
