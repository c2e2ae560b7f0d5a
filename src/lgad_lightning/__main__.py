"""`python -m lgad_lightning fit|cli|...`: the commands where their scripts are not on the path."""

import importlib
import importlib.util
import sys

COMMANDS = {
    "fit": "fit",
    "cli": "cli",
    "data": "data",
    "eval": "evaluate",
    "predict": "predict",
    "export": "export",
    "report": "report",
}


def main() -> None:
    """Hands the command line to the command that its first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.exit(f"usage: python -m lgad_lightning {{{','.join(COMMANDS)}}} ...; each has a --help of its own")
    module = f"lgad_lightning.commands.{COMMANDS[name]}"
    sys.argv[:2] = [f"lgad-{name}"]
    # What Lightning starts the other processes of a ddp training by.
    sys.modules["__main__"].__spec__ = importlib.util.find_spec(module)
    importlib.import_module(module).main()


if __name__ == "__main__":
    main()
