"""Objects that can be made again from plain values: what lets a checkpoint be enough."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

from lgad_lightning.errors import LgadError

PACKAGE = __name__.partition(".")[0]


class Rebuildable:
    """Remembers the arguments that an object was made with.

    A network of one's own that is to be loaded from its checkpoint without being built by hand derives from it, before
    `nn.Module`. The arguments must be plain: numbers, texts, booleans, None, lists and dictionaries of these, and other
    rebuildable objects.

    Example:
        >>> class Line(Rebuildable):
        ...     def __init__(self, slope, offset=0.0): ...
        >>> describe(Line(2.0))["arguments"]
        {'slope': 2.0, 'offset': 0.0}
    """

    made_with: dict[str, Any]
    rebuilt_with: ClassVar[dict[str, Any]] = {}
    """Arguments that differ when the object is made again, such as not to fetch weights that are then replaced."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Notes the arguments by name, defaults included."""
        made = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        with suppress(TypeError):  # a copy or an unpickled object, which brings its own; or a mistake told by __init__
            bound = signature.bind(made, *args, **kwargs)
            bound.apply_defaults()
            values = dict(list(bound.arguments.items())[1:])
            for name, parameter in signature.parameters.items():
                if parameter.kind == inspect.Parameter.VAR_KEYWORD:
                    values |= values.pop(name, {})
            made.__dict__["made_with"] = values
        return made


def remember(thing: Any, kind: Any, arguments: Mapping[str, Any]) -> None:
    """Notes the arguments that a configuration has made an object with, for one that does not note them itself.

    Args:
        thing: The object.
        kind: What was called to make it. Nothing is noted for a function: the class alone would give something else.
        arguments: What it was called with.
    """
    if type(thing) is kind and not hasattr(thing, "made_with"):
        thing.made_with = dict(arguments)


def describe(thing: object) -> dict[str, Any] | None:
    """Class and arguments of an object as plain values.

    Args:
        thing: A `Rebuildable`, or another object whose `made_with` says its arguments.

    Returns:
        `{"class": "package.module.Name", "arguments": {...}}`; None if the arguments are not known or not plain.
    """
    arguments = getattr(thing, "made_with", None)
    if arguments is None:
        return None
    try:
        plain = {str(name): _plain(value) for name, value in arguments.items()}
    except TypeError:
        return None
    return {"class": f"{type(thing).__module__}.{type(thing).__qualname__}", "arguments": plain}


def rebuild(description: Mapping[str, Any], base: type | tuple[type, ...]) -> Any:
    """Makes an object again.

    No code is run that the user has not chosen: the class is one of this package, or one of a module that has been
    imported already.

    Args:
        description: What `describe` gave.
        base: What the class must be a subclass of.

    Raises:
        LgadError: If there is no such class, or it refuses the arguments.
    """
    path = description["class"]
    kind = find_class(path)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise LgadError(f"{path} is no {base.__name__ if isinstance(base, type) else 'class of the kind wanted'}.")
    arguments = {name: _unplain(value) for name, value in description["arguments"].items()}
    arguments |= getattr(kind, "rebuilt_with", {})
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise LgadError(f"{path} cannot be made with the arguments {arguments}: {error}.") from error


def find_class(path: str) -> Any:
    """The class of a dotted path, from this package or from what has been imported already.

    Args:
        path: Such as `lgad_lightning.networks.erfnet.ERFNet`.

    Raises:
        LgadError: If it cannot be found there; says what to import.
    """
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        if parts[0] == PACKAGE:
            with suppress(ModuleNotFoundError):
                importlib.import_module(name)
        if (found := sys.modules.get(name)) is not None:
            with suppress(AttributeError):
                for part in parts[end:]:
                    found = getattr(found, part)
                return found
    raise LgadError(f"The class {path} is not known here: import it first (from {'.'.join(parts[:-1])} import ...).")


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if (description := describe(value)) is not None:
        return {"__class__": description["class"], "__arguments__": description["arguments"]}
    raise TypeError(f"{value!r} is no plain value")


def _unplain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unplain(item) for item in value)
    if isinstance(value, dict):
        if value.keys() == {"__class__", "__arguments__"}:
            return rebuild({"class": value["__class__"], "arguments": value["__arguments__"]}, Rebuildable)
        return {key: _unplain(item) for key, item in value.items()}
    return value
