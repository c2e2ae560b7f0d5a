"""`lgad-cli`: the package's classes, and yours, composed by LightningCLI from YAML."""

import sys
from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from lgad_lightning.configs import CONFIG_DIR
from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.modules import LaneModule


def main() -> None:
    """The console script: `lgad-cli fit|validate|test|predict --config FILE`.

    A FILE that does not exist here is looked for among the configurations that ship with the package.
    """
    sys.argv[1:] = [shipped(argument) for argument in sys.argv[1:]]
    try:
        LightningCLI(
            LaneModule,
            LaneDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
        )
    except LgadError as error:
        sys.exit(f"lgad-cli: {error}")


def shipped(argument: str) -> str:
    """Replaces the bare name of a configuration that ships with the package by its path."""
    if not argument.endswith(".yaml") or Path(argument).exists():
        return argument
    flag, _, name = argument.rpartition("=")
    file = CONFIG_DIR / "cli" / name
    return f"{flag}={file}" if flag and file.is_file() else str(file) if file.is_file() else argument
