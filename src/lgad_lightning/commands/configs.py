"""Finds the packaged configurations of Hydra and LightningCLI."""

from pathlib import Path


def find_config_dir() -> Path:
    """The folder of the configurations that ship with the package.

    It is `lgad_lightning/conf` in an installed wheel and `conf` at the top of the checkout in an editable install.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


CONFIG = "fit"
"""The name of `lgad-fit`'s configuration."""

CONFIG_DIR = find_config_dir()
CLI_CONFIG_DIR = CONFIG_DIR / "cli"
