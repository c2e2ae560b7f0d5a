"""The common part of the console scripts: mistakes, errors and interruptions end with one line."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from typing_extensions import override

from lgad_lightning.commands.mistakes import INTERRUPTED, TERMINATED, describe
from lgad_lightning.errors import LgadError


class CommandParser(argparse.ArgumentParser):
    """Reports mistakes in one line, without a list of all options."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def run_command(program: str, action: Callable[[], int | None], hint: str = "") -> None:
    """Runs a command. Errors (also of files) end the process with one line and exit code 1, Ctrl-C with one and 130.

    Args:
        program: Its name, with which the line begins.
        action: The work. It returns the exit code to end with, or None to return normally.
        hint: A text to add if it was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        _print_anything(stream)
    try:
        with lasting_output():
            code = action()
    except (LgadError, OSError) as error:
        sys.exit(f"{program}: {describe(error)}")
    except KeyboardInterrupt as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would stop the clean-up with a traceback
        print(f"{program}: interrupted{hint}.", file=sys.stderr)
        sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)
    if code is not None:
        sys.exit(code)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Lets the block go on if nobody reads any more what it prints: a closed pipe, a full disk.

    Otherwise, a long work would end at its last line, before its results are written.

    Raises:
        LgadError: At the end of the block, if something was lost other than by a reader who left, as in `... | head`.
    """
    before = sys.stdout
    if before is None:  # it was closed from the start
        yield
        return
    stream = _Lasting(before)
    sys.stdout = cast(TextIO, stream)
    try:
        yield
    finally:
        stream.flush()
        sys.stdout = before
    if stream.lost is not None and not isinstance(stream.lost, BrokenPipeError):
        raise LgadError(f"What it printed is not complete: {stream.lost}. The files that it wrote are.")


class _Lasting:
    """A stream whose text is dropped once it cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.lost = self.lost or error
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())  # what is left in the buffer goes there


class Terminated(KeyboardInterrupt):
    """SIGTERM within `tidy_on_sigterm`."""


@contextmanager
def tidy_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the block as Ctrl-C does, so that half-written files are removed. It raises `Terminated`.

    Use it only for commands without worker processes, because these would inherit the handler.
    """

    def terminate(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would stop the clean-up
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_anything(stream: TextIO) -> None:
    """Allows printing names of files that the terminal's encoding does not know."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
