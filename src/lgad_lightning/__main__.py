"""The console scripts, and `python -m lgad_lightning fit|cli|...` if they are not on the PATH."""

import importlib
import importlib.util
import signal
import sys
from functools import partial

from lgad_lightning import __version__

COMMANDS = {
    "fit": "lgad_lightning.commands.fit",
    "cli": "lgad_lightning.commands.cli",
    "data": "lgad_lightning.commands.data",
    "eval": "lgad_lightning.commands.evaluate",
    "predict": "lgad_lightning.commands.predict",
    "export": "lgad_lightning.commands.export",
    "report": "lgad_lightning.commands.report",
}


def main() -> None:
    """Runs the command that the first word of the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "--version":
        print(f"lgad-lightning {__version__}")
        return
    if name not in COMMANDS:
        sys.exit(f"usage: python -m lgad_lightning {{{','.join(COMMANDS)}}} ...; each command has its own --help")
    sys.argv[:2] = [f"lgad-{name}"]
    # Lightning uses this to start the other processes of a ddp training.
    sys.modules["__main__"].__spec__ = importlib.util.find_spec(COMMANDS[name])
    start(name)


def start(name: str) -> None:
    """Imports a command, which takes seconds, and runs it. Ctrl-C ends the import at once, without a traceback."""
    if sys.argv[1:] == ["--version"]:
        print(f"lgad-{name} {__version__}")
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = importlib.import_module(COMMANDS[name])
    signal.signal(signal.SIGINT, handler)
    command.main()


fit, cli, data, evaluate, predict, export, report = (partial(start, name) for name in COMMANDS)


if __name__ == "__main__":
    main()
