"""Runs a command many times in one process, which is started once: for mistakes that end it early."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import CHECKOUT
from tests.helpers.commands import Ended, environment


def run_each(module: str, calls: Sequence[Sequence[str]], folder: Path) -> list[Ended]:
    """How a command ends for each list of arguments.

    Args:
        module: Where its `main` is, `lgad_lightning.commands.fit` for example.
        calls: The arguments of each call.
        folder: Where to work.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.in_one_process", module],
        input=json.dumps([list(call) for call in calls]),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder) | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])},
        timeout=300,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return [Ended(*ended) for ended in json.loads(done.stdout.splitlines()[-1])]


def call(main: object, arguments: list[str]) -> Ended:
    """One call in this process."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    out, err = io.StringIO(), io.StringIO()
    sys.argv[1:] = arguments
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()  # type: ignore[operator]
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            code = 1
    return Ended(code, out.getvalue(), err.getvalue())


if __name__ == "__main__":
    command = importlib.import_module(sys.argv[1]).main
    print(json.dumps([call(command, arguments) for arguments in json.load(sys.stdin)]))
