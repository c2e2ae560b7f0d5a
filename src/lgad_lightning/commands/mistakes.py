"""Describes errors in a few words, for the last lines of commands."""

import os
import shlex
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lgad_lightning.errors import LgadError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit code after SIGTERM, as shells have it."""


def describe(error: BaseException) -> str:
    """Describes an error in one line. The text of an LgadError stays as it is.

    Example:
        >>> describe(KeyError("x")), describe(LgadError("Do that."))
        ("KeyError: 'x'", 'Do that.')
    """
    if isinstance(error, LgadError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.400}" if text else type(error).__name__


def keep_traceback(command: str, error: BaseException) -> Path:
    """Writes an error's traceback to a new temporary file, and returns its path."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix=f"{command}-", suffix=".log", delete=False) as file:
        file.write(text)
    return Path(file.name)


def resume_command(run_dir: Path) -> str:
    """The shell command that continues a run.

    Example:
        >>> resume_command(Path("my run"))
        "lgad-fit 'resume=my run'"
    """
    return f"lgad-fit {shlex.quote(f'resume={run_dir}')}"


@contextmanager
def environment_variable(name: str, value: str | None) -> Iterator[None]:
    """Sets or removes an environment variable within the block."""
    before = os.environ.get(name)
    _set(name, value)
    try:
        yield
    finally:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
