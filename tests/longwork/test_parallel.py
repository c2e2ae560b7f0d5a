import os
import signal
import subprocess
import sys

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.parallel import map_parallel


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert map_parallel(abs, range(-50, 50), "", workers) == list(map(abs, range(-50, 50)))


def test_nothing_to_do() -> None:
    assert map_parallel(abs, [], "", 2) == []


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_are_passed_on(workers: int) -> None:
    with pytest.raises(ValueError, match="three"):
        map_parallel(fail_at_three, range(1000), "", workers)


def die(number: int) -> int:
    os._exit(1)


def test_a_worker_that_dies_ends_the_work() -> None:
    with pytest.raises(LgadError, match="fewer workers"):
        map_parallel(die, range(10), "", 2)


class CountsPickles:
    """A function that is dear to send, like one that carries a data set's lists."""

    def __init__(self) -> None:
        self.copies = 0

    def __setstate__(self, state: dict[str, int]) -> None:
        self.copies = state["copies"] + 1

    def __getstate__(self) -> dict[str, int]:
        return {"copies": self.copies + 1}

    def __call__(self, number: int) -> int:
        return id(self)


def test_the_function_is_sent_once_to_each_worker() -> None:
    assert len(set(map_parallel(CountsPickles(), range(40), "", 2))) <= 2


ENDLESS = """
import os, time
from lgad_lightning.longwork.parallel import map_parallel
def say_and_wait(number):
    os.write(1, f'{os.getpid()}\\n'.encode())
    time.sleep(0.2)
map_parallel(say_and_wait, range(1000), "", 2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        workers: set[int] = set()
        while len(workers) < 2:
            workers.add(int(parent.stdout.readline()))
        parent.send_signal(number)
        parent.communicate(timeout=20)  # returns when no worker holds the pipe any longer
