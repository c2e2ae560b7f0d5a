"""Errors in a few words, for the commands' last lines."""

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
    """An error in one line, ours as they are.

    Example:
        >>> describe(KeyError("x")), describe(LgadError("Do that."))
        ("KeyError: 'x'", 'Do that.')
    """
    if isinstance(error, LgadError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.400}" if text else type(error).__name__


def keep_traceback(command: str, error: BaseException) -> Path:
    """Writes an error's traceback to a file of its own among the system's temporary ones, and says where."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix=f"{command}-", suffix=".log", delete=False) as file:
        file.write(text)
    return Path(file.name)


def resume_command(run_dir: Path) -> str:
    """What to type to go on with a run, for a shell.

    Example:
        >>> resume_command(Path("my run"))
        "lgad-fit 'resume=my run'"
    """
    return f"lgad-fit {shlex.quote(f'resume={run_dir}')}"


@contextmanager
def environment_variable(name: str, value: str | None) -> Iterator[None]:
    """Sets, or removes, an environment variable for the length of the block."""
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
