"""Reads checkpoint files: only plain values and tensors, never code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from lgad_lightning.errors import LgadError
from lgad_lightning.internals import uncompiled_name

STUDENT = "lgad_student"
"""The key of a student's checkpoint that holds what `load_student` needs."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads the content of a checkpoint. Weights of a compiled network get the names that they have without it.

    Args:
        path: A file that Lightning wrote.

    Raises:
        LgadError: If the file is missing, incomplete, or not a checkpoint.
    """
    if not Path(path).is_file():
        raise LgadError(f"There is no checkpoint {path}; check the path.")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any type: torch reads any bytes as instructions
        told = isinstance(error, OSError | RuntimeError | UnpicklingError) and str(error)
        reason = told.splitlines()[0] if told else "it is damaged, or another kind of file."
        raise LgadError(f"{path} is not a checkpoint of a training: {reason:.300}") from error
    weights = found.get("state_dict") if isinstance(found, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise LgadError(f"{path} is not a checkpoint of a training: it holds no `state_dict` of weights.")
    return {**found, "state_dict": {uncompiled_name(name): tensor for name, tensor in weights.items()}}


def give_weights(module: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Loads weights into a module, after a check.

    Args:
        module: The module. It is changed in place.
        weights: The weights, a `state_dict`.
        where: The name of their file, for messages.

    Raises:
        LgadError: If the weights are those of another network. The message names a difference.
    """
    state = module.state_dict()
    names = {uncompiled_name(name): name for name in state}  # torch.compile(network) has others
    own = {name: state[full] for name, full in names.items()}
    others = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    missing, unknown = own.keys() - weights.keys(), weights.keys() - own.keys()
    if others or missing or unknown:
        example = next(iter([*others, *sorted(missing), *sorted(unknown)]))
        there, here = (str(tuple(of[example].shape)) if example in of else "nothing" for of in (weights, own))
        raise LgadError(
            f"{where} holds the weights of another network: {len(others)} tensors are of another shape, {len(missing)} "
            f"are missing, {len(unknown)} are unknown. For example {example}: {there} there, {here} in "
            f"{type(module).__name__} here. Build the network as it was built for that training."
        )
    module.load_state_dict({names[name]: tensor for name, tensor in weights.items()})
