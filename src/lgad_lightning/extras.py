"""Libraries that the package's extras install. They are imported only where they are used."""

import importlib
from typing import Any

from lgad_lightning.errors import LgadError


def import_extra(module: str, extra: str, user: str) -> Any:
    """Imports a library that an extra installs.

    Args:
        module: The module.
        extra: The extra.
        user: What needs the library, for the message.

    Returns:
        The module.

    Raises:
        LgadError: If it, or a library that it needs, is not installed. The message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        raise LgadError(
            f'{user} needs {missing}, which is not installed: pip install "lgad-lightning[{extra}]"'
        ) from error
