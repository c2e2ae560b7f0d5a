import threading
from collections.abc import Iterator

import pytest

from lgad_lightning.longwork.read_ahead import read_ahead


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    seen = []
    with pytest.raises(OSError, match="gone"):
        seen.extend(read_ahead(items(), depth=1))
    taken = read_ahead(items(), depth=1)
    assert [next(taken), next(taken)] == [1, 2]


def test_another_thread_reads_only_so_far_ahead() -> None:
    read: list[tuple[int, int]] = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append((number, threading.get_ident()))
            yield number

    taken = read_ahead(items(), depth=3)
    assert next(taken) == 0
    taken.close()
    assert len(read) <= 6
    assert {thread for _, thread in read} != {threading.get_ident()}
