"""Checks of settings. They refuse values with which a training would fail or go wrong."""

from collections.abc import Sequence

from lgad_lightning.errors import LgadError


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuses values that are not whole numbers in a range.

    Args:
        name: Name of the setting.
        value: Its value.
        least: The smallest allowed number.
        most: The largest allowed number. None: no limit.

    Raises:
        LgadError: If the value is refused. The message gives setting, value and range.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise LgadError(f"{name}={value!r} must be a whole number {limits}.")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuses values that are not among the choices.

    Args:
        name: Name of the setting.
        value: Its value.
        choices: The allowed values.

    Raises:
        LgadError: If the value is refused. The message gives setting, value and choices.
    """
    if value not in choices:
        raise LgadError(f"{name}={value!r} must be one of {', '.join(map(str, choices))}.")
