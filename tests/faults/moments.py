"""Commands that are cut short in the midst of their work."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.helpers.commands import Ended, Running, finish, start

Sign = Callable[[Running], bool]
"""Whether a command is at work."""


def has_workers(process: Running) -> bool:
    """Whether a command has started other processes."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.parent.is_dir():
        pytest.skip("no /proc to see by when a command has workers")
    return bool(children.read_text())


def imports(process: Running) -> bool:
    """Whether a command is importing what it needs."""
    maps = Path(f"/proc/{process.pid}/maps")
    if not maps.is_file():
        pytest.skip("no /proc to see by what a command imports")
    return "numpy" in maps.read_text()


def there(folder: Path, pattern: str) -> Sign:
    """Whether a file is there that the command writes."""
    return lambda process: any(folder.glob(pattern))


def cut_short(
    name: str,
    arguments: Sequence[str],
    folder: Path,
    sign: Sign,
    delay: float,
    number: signal.Signals,
    warm: bool = True,
) -> Ended:
    """Sends a command a signal, as a terminal does to all of its processes, some seconds after it has set to work."""
    process = start(name, *arguments, folder=folder, new_group=True, warm=warm)
    try:
        until = time.monotonic() + 120
        while not sign(process):
            if process.poll() is not None:
                return finish(process)  # before there was anything to cut
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(delay)
        if number == signal.SIGKILL:
            process.kill()  # not its workers, which have to see to it themselves
        else:
            os.killpg(process.pid, number)
        return finish(process, timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def kill(name: str, *arguments: str, folder: Path, sign: Sign, seed: int, within: float = 0.5) -> None:
    """Kills a command at a random moment of its work."""
    end = cut_short(name, arguments, folder, sign, random.Random(seed).uniform(0, within), signal.SIGKILL)
    assert end.code in (-9, 0), end
    assert "Traceback" not in end.stdout + end.stderr


def interrupt(name: str, *arguments: str, folder: Path, sign: Sign, delay: float = 0, hint: str) -> None:
    """Interrupts a command, whose last line must begin with the hint."""
    end = cut_short(name, arguments, folder, sign, delay, signal.SIGINT)
    assert end.code == 130, end
    assert "Traceback" not in end.stdout + end.stderr
    assert any(text.rstrip().split("\n")[-1].startswith(hint) for text in (end.stdout, end.stderr)), end
