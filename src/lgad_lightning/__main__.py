"""`python -m lgad_lightning fit|cli|data|eval ...`: the console scripts, where they are not on the path."""

import sys
from importlib import import_module
from importlib.util import find_spec

from lgad_lightning import __version__

MODULES = {"fit": "fit", "cli": "cli", "data": "data", "eval": "evaluate"}
USAGE = f"usage: python -m lgad_lightning {{{','.join(MODULES)}}} ...\n       python -m lgad_lightning --version"


def main() -> None:
    """Runs the command that the first argument names, as the console script `lgad-<command>` does."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command == "--version" or (arguments == ["--version"] and command in MODULES):
        print(f"lgad-lightning {__version__}")
    elif command in ("-h", "--help"):
        print(USAGE)
    elif command not in MODULES:
        print(f"{USAGE}\nThere is no command {command}.", file=sys.stderr)
        sys.exit(2)
    else:
        module = f"lgad_lightning.commands.{MODULES[command]}"
        sys.argv = [f"lgad-{command}", *arguments]
        # Lightning starts the other processes of a ddp training by `python -m NAME ARGUMENTS`, with the name in here.
        sys.modules["__main__"].__spec__ = find_spec(module)
        import_module(module).main()


if __name__ == "__main__":
    main()
