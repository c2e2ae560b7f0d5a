"""Console scripts that start at once: forked from a process that has imported their modules, which takes seconds."""

import atexit
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from functools import cache
from multiprocessing.forkserver import _forkserver
from pathlib import Path

from coverage.control import process_startup

from lgad_lightning.__main__ import COMMANDS, start


@cache
def forkserver() -> multiprocessing.context.ForkServerContext:
    """The process to fork from, one for each process of pytest's; it starts with the first command."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.warm", *COMMANDS.values()])
    atexit.register(_forkserver._stop)  # waits for its end: only then it has written what it covered
    return context


def console_script() -> None:
    """What a console script does."""
    start(Path(sys.argv[0]).name.removeprefix("lgad-"))


class Warm:
    """A running console script, or another function; the part of `subprocess.Popen` that tests use."""

    def __init__(
        self, script: Path, arguments: tuple[str, ...], folder: Path, env: dict[str, str], group: bool = False,
        most: int | None = None, main: Callable[[], None] = console_script,
    ) -> None:  # fmt: skip
        self._outputs = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115, read at the end
        names = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in self._outputs]
        what = (str(script), arguments, str(folder), env, names, group, most, main)
        self._process = forkserver().Process(target=work, args=what)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.kill = self._process.kill

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        texts = []
        for file in self._outputs:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return texts[0], texts[1]


def work(
    script: str, arguments: tuple[str, ...], folder: str, env: dict[str, str], outputs: list[str], group: bool,
    most: int | None, main: Callable[[], None],
) -> None:  # fmt: skip
    """Does in the forked process what a new one would do."""
    if group:
        os.setsid()
    for number, name in enumerate(outputs, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    multiprocessing.set_start_method(None, force=True)  # the system's default for workers, not the one of this process
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in sys.path]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    module = types.ModuleType("__main__")  # what processes of its own are started by
    module.__file__, module.__spec__ = script, None
    sys.modules["__main__"] = module
    sys.argv = [script, *arguments]
    if inherited := getattr(process_startup, "coverage", None):
        atexit.unregister(inherited._atexit)
    try:
        main()
    finally:
        atexit._run_exitfuncs()
