"""Refusals of settings with which a training would fail or go wrong."""

from collections.abc import Sequence

from lgad_lightning.errors import LgadError


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuses what is no whole number in a range.

    Args:
        name: Name of the setting.
        value: Its value.
        least: The smallest number allowed.
        most: The largest, if there is one.

    Raises:
        LgadError: Naming setting, value and range.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise LgadError(f"{name}={value!r} must be a whole number {limits}.")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuses what is none of the choices.

    Args:
        name: Name of the setting.
        value: Its value.
        choices: What it may be.

    Raises:
        LgadError: Naming setting, value and choices.
    """
    if value not in choices:
        raise LgadError(f"{name}={value!r} must be one of {', '.join(map(str, choices))}.")
