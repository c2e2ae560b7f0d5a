"""The weight of a distillation as a function of the step."""

from collections.abc import Callable
from math import inf
from numbers import Integral, Real
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.internals import steps_due, steps_of

When = int | float
"""A number of optimiser steps (int), or a fraction of the training (float): of its batches, or of `max_steps`."""


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
        if when is not None and not _is_within(when, 1 if _is_fraction(when) else inf):
            raise LgadError(f"{argument}={when!r}: give a number of steps (int) or a fraction of the training (0..1)")
    if end is not None and _is_fraction(start) == _is_fraction(end) and start >= end:
        raise LgadError(f"start={start} and end={end}: the end must be after the start")
    if not _is_within(weight, inf) or weight == inf:
        raise LgadError(f"weight={weight!r}: give a finite number of at least 0")


def in_steps(start: When, ramp: When, end: When | None, trainer: Callable[[], Any]) -> tuple[float, float, float]:
    """Turn fractions of a training into steps.

    Args:
        start: When the weight begins to rise from 0.
        ramp: How long it takes to rise and to fall.
        end: When it is 0 again. None: never.
        trainer: Returns the trainer of the current fit. It is only called for a fraction.

    Returns:
        The three in optimiser steps, start and end as values of `trainer.global_step`. If the trainer's steps are not
        in proportion to the batches, start and end move so that they are right when they are reached.

    Raises:
        LgadError: If one is a fraction and the training has no end.
    """
    return _moment(start, trainer), _length(ramp, trainer), inf if end is None else _moment(end, trainer)


def _moment(when: When, trainer: Callable[[], Any]) -> float:
    steps = _length(when, trainer)
    return steps + trainer().global_step - steps_due(trainer()) if _is_fraction(when) and when else steps


def _length(when: When, trainer: Callable[[], Any]) -> float:
    if not _is_fraction(when) or when == 0:
        return when
    total = steps_of(trainer())
    if total == inf:
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
    if ramp <= 1:  # the first step of a rise and the last step of a fall count
        return weight
    return weight * min(1.0, (step - start + 1) / ramp, (end - step) / ramp)


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


def _is_within(value: Any, most: float) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= most  # NumPy's numbers are real, too; NaN is nowhere


def _is_fraction(when: Any) -> bool:
    return not isinstance(when, Integral)  # NumPy's whole numbers are no int


def _say(when: When, unit: str = "") -> str:
    if _is_fraction(when):
        return f"{100 * when:g} % of the training"
    return f"{when} steps" if unit else f"step {when}"
