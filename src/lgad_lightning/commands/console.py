"""The common part of the console scripts: mistakes, errors and interruptions end with one line."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from typing_extensions import override

from lgad_lightning.commands.mistakes import INTERRUPTED, TERMINATED
from lgad_lightning.errors import LgadError


class CommandParser(argparse.ArgumentParser):
    """Reports mistakes in one line, without a list of all options."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def run_command(program: str, action: Callable[[], int | None], hint: str = "") -> None:
    """Runs a command. Errors end the process with one line and exit code 1, Ctrl-C with one line and 130.

    Args:
        program: Its name, with which the line begins.
        action: The work. It returns the exit code to end with, or None to return normally.
        hint: A text to add if it was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        _print_anything(stream)
    try:
        code = action()
    except LgadError as error:
        sys.exit(f"{program}: {error}")
    except KeyboardInterrupt as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would stop the clean-up with a traceback
        print(f"{program}: interrupted{hint}.", file=sys.stderr)
        sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)
    if code is not None:
        sys.exit(code)


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
