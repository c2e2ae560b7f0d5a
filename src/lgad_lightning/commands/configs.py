"""Where the packaged Hydra and LightningCLI configurations lie."""

from pathlib import Path


def find_config_dir(name: str) -> Path:
    """A folder of configurations that ships with the package.

    It is in `lgad_lightning` in an installed wheel and at the top of the checkout in an editable install.

    Args:
        name: `conf`, that of `lgad-fit`, or `conf_cli`, that of `lgad-cli`, which Hydra does not see.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name


CONFIG_DIR = find_config_dir("conf")
CLI_CONFIG_DIR = find_config_dir("conf_cli")
