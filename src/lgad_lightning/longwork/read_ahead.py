"""Reads items in another thread."""

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE = 0.1  # seconds until a waiting thread checks whether it is still needed


def read_ahead(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yields the items of an iterable. Another thread reads some of them in advance.

    Args:
        items: The iterable. If it raises an exception, this is raised here, after the items before it.
        depth: The largest number of items that wait.

    Example:
        >>> list(read_ahead(range(3), depth=2))
        [0, 1, 2]
    """
    waiting: Queue[tuple[list[Item], BaseException | None]] = Queue(depth)
    ended = threading.Event()

    def put(items: list[Item], error: BaseException | None) -> None:
        while not ended.is_set():
            try:
                waiting.put((items, error), timeout=_PATIENCE)
                return
            except Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put([item], None)
                if ended.is_set():
                    return
        except BaseException as error:  # raised in the thread that takes the items
            put([], error)
        else:
            put([], None)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if not item:
                return
            yield item[0]
    finally:
        ended.set()
        thread.join()
