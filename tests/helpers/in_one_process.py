"""Runs a command many times in one process: for mistakes that end it early."""

import contextlib
import importlib
import io
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.commands import Ended, environment, finish
from tests.helpers.warm import Warm


def run_each(module: str, calls: Sequence[Sequence[str]], folder: Path) -> list[Ended]:
    """How a command ends for each list of arguments.

    Args:
        module: Where its `main` is, `lgad_lightning.commands.fit` for example.
        calls: The arguments of each call.
        folder: Where to work.
    """
    arguments = (module, json.dumps([list(call) for call in calls]))
    done = finish(Warm(Path(__file__), arguments, folder, environment(folder), main=call_each))
    assert done.code == 0, f"exit code {done.code}: {done.stderr}"
    return [Ended(*ended) for ended in json.loads(done.stdout.splitlines()[-1])]


def call_each() -> None:
    """Calls the command that the command line names, and prints how each call ended."""
    _, module, calls = sys.argv
    main = importlib.import_module(module).main
    print(json.dumps([call(main, arguments) for arguments in json.loads(calls)]))


def call(main: object, arguments: list[str]) -> Ended:
    """One call in this process."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["lgad", *arguments]
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
