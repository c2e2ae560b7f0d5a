"""Checkpoint files as the package reads them: plain values and tensors, never code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from lgad_lightning.errors import LgadError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of a training.

    Args:
        path: A file that Lightning wrote.

    Raises:
        LgadError: If it is missing, cut off, or something else.
    """
    if not Path(path).is_file():
        raise LgadError(f"There is no checkpoint {path}; check the path.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError, ValueError) as error:
        raise LgadError(f"{path} is no checkpoint of a training: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise LgadError(f"{path} is no checkpoint of a training: it holds no weights under `state_dict`.")
    return found


def give_weights(module: nn.Module, weights: dict[str, Any], where: str) -> None:
    """Gives a module weights that must fit it.

    Args:
        module: Changed in place.
        weights: Its `state_dict`.
        where: What to call their file in errors.

    Raises:
        LgadError: If they are another network's; names the first difference.
    """
    own = module.state_dict()
    for name in [*own, *weights]:
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (own, weights)]
        if shapes[0] != shapes[1]:
            raise LgadError(
                f"{where} holds the weights of another network: {name} is {shapes[1] or 'missing'} there and "
                f"{shapes[0] or 'missing'} in {type(module).__name__} as it was built. Build it as it was for the "
                "training."
            )
    module.load_state_dict(weights)
