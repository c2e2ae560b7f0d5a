"""Builds what a node of the configuration describes. Errors name the key of the node."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from lgad_lightning.commands.mistakes import describe
from lgad_lightning.commands.value_types import check_node
from lgad_lightning.errors import LgadError


def build(key: str, node: Mapping[str, Any], **objects: Any) -> Any:
    """Instantiates a node.

    Args:
        key: Where the node is in the configuration.
        node: The resolved node.
        objects: Arguments that are already objects. Hydra would copy them.

    Raises:
        LgadError: If the node cannot be instantiated. The message names the key, except for the constructor's own.
    """
    settings = {name: value for name, value in node.items() if name not in objects}
    check_node(key, settings)
    return told(key, lambda: instantiate(settings, _partial_=True, _convert_="all")(**objects))


def told(key: str, make: Callable[[], Any]) -> Any:
    """Calls `make`. Any error becomes an LgadError that names the key.

    Args:
        key: The key in the configuration.
        make: The function to call.

    Raises:
        LgadError: If `make` raises an error.
    """
    try:
        return make()
    except LgadError:
        raise
    except Exception as error:
        inner = re.search(r"full_key: (\S+)$", str(error)) if isinstance(error, InstantiationException) else None
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        if isinstance(cause, LgadError):
            raise cause from error
        raise LgadError(f"{key}{f'.{inner[1]}' if inner else ''}: {describe(cause)}") from error
