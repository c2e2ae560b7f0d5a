from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def poly_factor(step: int, total_steps: int, power: float = 0.9, warmup_steps: int = 0) -> float:
    """Computes the factor of the learning rate: a linear warm-up, then a polynomial decay.

    It is ``(step + 1) / warmup_steps`` during the warm-up and ``(1 - progress) ** power`` after it, where
    ``progress`` runs from 0 to 1 over the remaining steps.

    Args:
        step: Number of optimiser steps taken so far.
        total_steps: Number of optimiser steps of the whole training, warm-up included.
        power: Exponent of the decay.
        warmup_steps: Number of steps over which the rate rises to its full value.

    Returns:
        The factor, in [0, 1].

    Example:
        >>> [poly_factor(step, total_steps=10, power=1.0, warmup_steps=2) for step in (0, 1, 2, 6, 10)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return float((1.0 - min(progress, 1.0)) ** power)


class PolyLR(LambdaLR):
    """Polynomial decay after a linear warm-up. It is stepped once for each optimiser step.

    This is the schedule of the published CULane and TuSimple recipes (SCNN, SAD, ERFNet, PytorchAutoDrive). Its state
    holds only the step. So a training that is resumed with another length follows the new length.

    Args:
        optimizer: The optimiser whose learning rates are scaled.
        total_steps: Number of optimiser steps of the whole training, warm-up included.
        power: Exponent of the decay.
        warmup_steps: Number of steps over which the rate rises linearly to its full value. 0: no warm-up.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> PolyLR(optimizer, total_steps=10, warmup_steps=4).get_last_lr()
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, power: float = 0.9, warmup_steps: int = 0) -> None:
        super().__init__(
            optimizer, partial(poly_factor, total_steps=total_steps, power=power, warmup_steps=warmup_steps)
        )
