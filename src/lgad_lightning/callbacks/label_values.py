"""What the values of label maps tell, before a training goes on with labels that cannot be right."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lgad_lightning.errors import LgadError

_UNLIKELY = 200  # a void class (KITTI's 250, say) more likely than a lane


def check_label_values(label: Tensor, ignore_index: int | None, classes: int | None, owner: str) -> str | None:
    """Refuse values that cannot be right. The values are waited for, so not to be called in every step.

    Args:
        label: Label maps, `(B, H, W)`.
        ignore_index: The value of ignored pixels.
        classes: How many classes there are with the background; None if nobody knows.
        owner: Who has so many classes, for the message.

    Returns:
        `empty` if no pixel but background is left, `void` if a value looks like that of a void class, else None.

    Raises:
        LgadError: If values are no whole numbers, negative, or no classes of the owner's.

    Example:
        >>> check_label_values(torch.tensor([[[0, 255]]]), 255, 5, "the teacher")
        'empty'
    """
    values = sorted(set(torch.unique(label).tolist()) - {ignore_index})
    if any(value != int(value) or value < 0 for value in values):
        raise LgadError(
            f"the labels hold {_list(values)}, not only the numbers of classes: give ignore_index= the value of ignored"
            " pixels, or label= a function of the batch that returns whole numbers from 0"
        )
    if classes is not None and values and values[-1] >= classes:
        raise LgadError(
            f"the labels hold {_list(values)} where {owner} knows the classes 0 to {classes - 1}: give ignore_index="
            " the value of ignored pixels, or label= a function of the batch that returns the numbers of the classes"
        )
    if not any(values):
        return "empty"
    return "void" if values[-1] >= _UNLIKELY else None


def classes_of(network: nn.Module | None) -> int | None:
    """How many classes a network says it has.

    Args:
        network: A network or a LightningModule.

    Returns:
        Its `num_classes`, that of its hyper-parameters, or None.

    Example:
        >>> classes_of(nn.Identity()) is None
        True
    """
    hparams: Any = getattr(network, "hparams", {})
    for count in (getattr(network, "num_classes", None), hparams.get("num_classes")):
        if isinstance(count, int) and count > 1:
            return count
    return None


def _list(values: Iterable[float]) -> str:
    values = list(values)
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown if len(shown) < 10 else [*shown[:5], "...", *shown[-2:]])
