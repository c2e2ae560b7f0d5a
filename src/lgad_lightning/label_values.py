"""Checks the values of label maps, so that no training uses labels that cannot be right."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lgad_lightning.errors import LgadError

_UNLIKELY = 200  # rather a void class (such as KITTI's 250) than a lane


def check_label_values(label: Tensor, ignore_index: int | None, classes: int | None, owner: str) -> str | None:
    """Refuse values that cannot be right. This waits for the device, so do not call it in every step.

    Args:
        label: Label maps, `(B, H, W)`.
        ignore_index: The value of ignored pixels.
        classes: The number of classes, with the background. None if it is not known.
        owner: The network with this number of classes, for the message.

    Returns:
        `empty` if there is only background, `void` if a value looks like a void class, otherwise None.

    Raises:
        LgadError: If a value is fractional, negative, or beyond the classes of the owner.

    Example:
        >>> check_label_values(torch.tensor([[[0, 255]]]), 255, 5, "the teacher")
        'empty'
    """
    values = sorted(set(torch.unique(label).tolist()) - {ignore_index})
    if any(value != int(value) or value < 0 for value in values):
        raise LgadError(
            f"the labels hold {_list(values)}, not only the numbers of classes: set ignore_index= to the value of"
            " ignored pixels, or label= to a function of the batch that returns whole numbers from 0"
        )
    if classes is not None and values and values[-1] >= classes:
        raise LgadError(
            f"the labels hold {_list(values)} but {owner} has the classes 0 to {classes - 1}: set ignore_index= to the"
            " value of ignored pixels, or label= to a function of the batch that returns the numbers of the classes"
        )
    if not any(values):
        return "empty"
    return "void" if values[-1] >= _UNLIKELY else None


def classes_of(network: nn.Module | None) -> int | None:
    """Return the number of classes of a network.

    Args:
        network: A network or a LightningModule.

    Returns:
        Its attribute `num_classes`, or `num_classes` of its hyper-parameters, or None.

    Example:
        >>> classes_of(nn.Identity()) is None
        True
    """
    hparams: Any = getattr(network, "hparams", {})
    stored = hparams.get("num_classes") if isinstance(hparams, Mapping) else getattr(hparams, "num_classes", None)
    for count in (getattr(network, "num_classes", None), stored):
        if isinstance(count, int) and count > 1:
            return count
    return None


def _list(values: Iterable[float]) -> str:
    values = list(values)
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown if len(shown) < 10 else [*shown[:5], "...", *shown[-2:]])
