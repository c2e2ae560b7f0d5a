"""The weight of a distillation as a function of the step."""

from collections.abc import Callable
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.internals import steps_of

When = int | float
"""A number of optimiser steps (int), or a fraction of the training (float)."""


def check_schedule(weight: float, start: When, ramp: When, end: When | None) -> None:
    """Refuse an impossible schedule.

    Args:
        weight: The weight between the ramps.
        start: When the weight begins to rise from 0.
        ramp: How long it takes to rise and to fall.
        end: When it is 0 again. None: never.

    Raises:
        LgadError: If an argument is impossible. The message names it.
    """
    for argument, when in (("start", start), ("ramp", ramp), ("end", end)):
        if when is not None and (when < 0 or (isinstance(when, float) and when > 1)):
            raise LgadError(f"{argument}={when}: give a number of steps (int) or a fraction of the training (0..1)")
    if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise LgadError(f"weight={weight}: give a finite number of at least 0")


def in_steps(when: When | None, trainer: Callable[[], Any]) -> float:
    """Turn a fraction of a training into steps.

    Args:
        when: Steps or a fraction. None: never.
        trainer: Returns the trainer of the current fit. It is only called for a fraction.

    Returns:
        Optimiser steps.

    Raises:
        LgadError: If it is a fraction and the training has no end.
    """
    if when is None or isinstance(when, int):
        return float("inf") if when is None else when
    total = steps_of(trainer())
    if total == float("inf"):
        raise LgadError(
            "start, ramp or end is a fraction, but the length of the training is not known (max_epochs=-1, or a data"
            " loader without a length): set max_steps, or give steps"
        )
    return when * total


def scheduled_weight(step: int, weight: float, start: float, ramp: float, end: float) -> float:
    """Return the weight at a step.

    Args:
        step: Optimiser steps taken.
        weight: The weight between the ramps.
        start: The first step at which it is more than 0.
        ramp: Steps of the linear rise after `start` and of the fall before `end`.
        end: The first step at which it is 0 again. Infinite: never.

    Returns:
        The weight. It is 0 before `start` and from `end` on.

    Example:
        >>> [scheduled_weight(step, 1.0, start=1, ramp=2, end=6) for step in range(7)]
        [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0]
    """
    if not start <= step < end:
        return 0.0
    # The first step of a rise and the last step of a fall count, so a ramp of 1 is no ramp.
    return weight * min(1.0, (step - start + 1) / max(ramp, 1), (end - step) / max(ramp, 1))


def describe_schedule(weight: float, start: When, ramp: When, end: When | None) -> str:
    """Describe a schedule in words.

    Args:
        weight: The weight between the ramps.
        start: When the weight begins to rise from 0.
        ramp: How long it takes to rise and to fall.
        end: When it is 0 again. None: never.

    Returns:
        A part of a sentence.

    Example:
        >>> describe_schedule(0.3, 0, 0, None), describe_schedule(0.3, 100, 0.1, 0.5)
        ('weight 0.3', 'weight 0.3 from step 100 to 50 % of the training with ramps of 10 % of the training')
    """
    words = [f"weight {weight:g}"]
    words += [f"from {_say(start)}"] if start else []
    words += [] if end is None else [f"to {_say(end)}"]
    words += [f"with ramps of {_say(ramp, 'steps')}"] if ramp else []
    return " ".join(words)


def _say(when: When, unit: str = "") -> str:
    if isinstance(when, float):
        return f"{100 * when:g} % of the training"
    return f"{when} steps" if unit else f"step {when}"
