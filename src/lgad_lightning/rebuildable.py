"""Objects that can be built again from plain values. With them, a checkpoint is enough to use a student."""

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Self

import numpy as np

from lgad_lightning.errors import LgadError

PACKAGE = __name__.partition(".")[0]


class Rebuildable:
    """Remembers the arguments that an object was built with.

    Derive your own network from this class, before `nn.Module`. Then it can be loaded from its checkpoint alone. The
    arguments must be plain values: numbers, strings, booleans, None, lists and dictionaries of these (with strings as
    keys), and other rebuildable objects. Lists come back as tuples.

    Example:
        >>> class Line(Rebuildable):
        ...     def __init__(self, slope, offset=0.0): ...
        >>> describe(Line(2.0))["arguments"]
        {'slope': 2.0, 'offset': 0.0}
    """

    made_with: dict[str, Any]
    rebuilt_with: ClassVar[dict[str, Any]] = {}
    """Arguments to change when the object is built again. For example, pretrained weights need not be loaded."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Stores the arguments by name, with the defaults."""
        made = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        if any(p.kind == p.VAR_POSITIONAL for p in signature.parameters.values()):
            return made  # such arguments have no names
        with suppress(TypeError):  # a copy or an unpickled object has its own; or __init__ reports a mistake
            bound = signature.bind(made, *args, **kwargs)
            bound.apply_defaults()
            values = dict(list(bound.arguments.items())[1:])
            for name, parameter in signature.parameters.items():
                if parameter.kind == inspect.Parameter.VAR_KEYWORD:
                    values |= values.pop(name, {})
            made.__dict__["made_with"] = values
        return made


def remember(thing: Any, kind: Any, arguments: Mapping[str, Any]) -> None:
    """Stores the arguments that a configuration built an object with, if the object does not store them itself.

    Args:
        thing: The object.
        kind: The class or function that built it. For a function nothing is stored, because the class alone would give
            another object.
        arguments: The arguments of the call.
    """
    if type(thing) is kind and not hasattr(thing, "made_with"):
        thing.made_with = dict(arguments)


def describe(thing: object) -> dict[str, Any] | None:
    """Describes class and arguments of an object as plain values.

    Args:
        thing: A `Rebuildable`, or another object with its arguments in `made_with`.

    Returns:
        `{"class": "package.module.Name", "arguments": {...}}`, or None if the arguments are not known or not plain.
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
    """Builds an object from its description.

    Only code that the user has chosen is run: the class belongs to this package, or to a module that was imported
    before.

    Args:
        description: What `describe` returned.
        base: The class must be a subclass of this one.

    Raises:
        LgadError: If there is no such class, or if it refuses the arguments.
    """
    path = description["class"]
    if not isinstance(path, str) or not isinstance(description["arguments"], Mapping):
        raise LgadError(f"{str(description)[:200]} is no description of an object.")
    kind = find_class(path)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise LgadError(f"{path} is not a {base.__name__ if isinstance(base, type) else 'class of the right kind'}.")
    arguments = {name: _unplain(value) for name, value in description["arguments"].items()}
    fixed = getattr(kind, "rebuilt_with", {})
    arguments |= {name: value for name, value in fixed.items() if name in arguments}  # a subclass may have others
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise LgadError(f"{path} cannot be built with the arguments {arguments}: {error}.") from error


def find_class(path: str) -> Any:
    """Finds a class by its path, in this package or in a module that was imported before.

    Args:
        path: The path, such as `lgad_lightning.networks.erfnet.ERFNet`.

    Raises:
        LgadError: If the class is not found. The message says what to import.
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
    if parts[0] == "__main__":
        raise LgadError(
            f"The class {parts[-1]} was defined in a script or notebook. These cannot be imported: move it to a module."
        )
    raise LgadError(f"The class {path} is not known here: import it first (from {'.'.join(parts[:-1])} import ...).")


def is_plain(value: Any) -> bool:
    """Whether a value consists of None, numbers, texts, and lists, tuples and dictionaries of such values."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(map(is_plain, [*value, *value.values()]))
    return value is None or type(value) in (bool, int, float, str)


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and type(value.item()) in (bool, int, float, str):
        return value.item()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):  # also a list of OmegaConf
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if (description := describe(value)) is not None:
        return {"__class__": description["class"], "__arguments__": description["arguments"]}
    raise TypeError(f"{value!r} is not a plain value")


def _unplain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unplain(item) for item in value)
    if isinstance(value, dict):
        if value.keys() == {"__class__", "__arguments__"}:
            return rebuild({"class": value["__class__"], "arguments": value["__arguments__"]}, Rebuildable)
        return {key: _unplain(item) for key, item in value.items()}
    return value
