"""Work on many files at once, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Result = TypeVar("Result")


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

    Example:
        >>> map_parallel(abs, [-2, 1], "Taking absolute values", workers=0)
        [2, 1]
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=len(items))
        results: dict[int, Result] = {}
        for index, result in _run(function, items, cores() if workers is None else workers):
            results[index] = result
            progress.advance(task)
    return [results[index] for index in range(len(items))]


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[int, Result]]:
    if workers == 0 or len(items) < 2:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    # 0 keeps OpenCV from using threads in a worker; 1 waits for ever, now and then, in a forked one.
    with ProcessPoolExecutor(min(workers, len(items)), initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        futures = {pool.submit(function, item): index for index, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
