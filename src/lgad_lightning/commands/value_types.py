"""Compares the values of a configuration with the types that constructors declare, before any of them is called."""

import inspect
import pydoc
import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from omegaconf import MISSING

from lgad_lightning.errors import LgadError

_SEQUENCES = (list, tuple, set, frozenset)


def check_node(key: str, node: Any) -> None:
    """Compares all arguments in a node, and in the nodes within it, with the types that the constructors declare.

    Args:
        key: Where the node is in the configuration.
        node: Plain values. Each mapping with a `_target_` stands for an object.

    Raises:
        LgadError: If there is no such `_target_`, if it does not take an argument, or if an argument has the wrong
            type. The message names the key.
    """
    if isinstance(node, list):
        for number, item in enumerate(node):
            check_node(f"{key}[{number}]", item)
    if not isinstance(node, Mapping):
        return
    given = {str(name): value for name, value in node.items() if not str(name).startswith("_")}
    if "_target_" in node:
        known, takes_others = parameters(locate(_join(key, "_target_"), str(node["_target_"])))
        for name, value in given.items():
            if name not in known and not takes_others:
                raise LgadError(f"{_join(key, name)}: {node['_target_']} takes no {name}.{nearest(name, known)}")
            if name in known and value not in (MISSING, known[name].default):
                check_value(_join(key, name), value, known[name].annotation)
    for name, value in given.items():
        check_node(_join(key, name), value)


def check_value(key: str, value: Any, hint: Any) -> None:
    """Compares a value with a type. If the type is a TypedDict, the items are compared with their types.

    Below the top level, a TypedDict may have no other items.

    Args:
        key: Where the value is in the configuration.
        value: A plain value, as YAML has it.
        hint: The type, as an annotation.

    Raises:
        LgadError: If the value is of another type. The message names the key.
    """
    if is_typeddict(hint) and isinstance(value, Mapping):
        for name, inner in get_type_hints(hint).items():
            if name not in value:
                raise LgadError(f"{_join(key, name)} is not set: it must be {describe(inner)}.")
            check_value(_join(key, name), value[name], inner)
        for name in value.keys() - get_type_hints(hint).keys() if key else ():
            raise LgadError(f"{_join(key, name)}: there is no such key.{nearest(name, get_type_hints(hint))}")
    elif get_origin(hint) is dict and isinstance(value, Mapping):
        for name, item in value.items():
            check_value(_join(key, name), item, get_args(hint)[1])
    elif not fits(value, hint):
        shown = "null" if value is None else f"{value!r}"
        raise LgadError(f"{key}={shown:.100} must be {describe(hint)}.")


def nearest(name: str, known: Collection[str]) -> str:
    """Makes a sentence, with a blank in front, that suggests the nearest known name. Empty if none is near."""
    found = get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {found[0]}?" if found else ""


def locate(key: str, target: str) -> Callable[..., Any]:
    """Finds the class or function that a `_target_` names.

    Args:
        key: Where the `_target_` is in the configuration.
        target: Its value.

    Raises:
        LgadError: If it names nothing that can be called. The message names the key.
    """
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        raise LgadError(f"{key}={target} cannot be imported: {error.value}.") from error
    if not callable(found):
        raise LgadError(f"{key}={target} is no class or function that can be imported.")
    return found


def parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The parameters of a function or a class, including those that a constructor takes by `**kwargs`.

    Args:
        target: A class or a function.

    Returns:
        The parameters by name, their types resolved (`Any` if there is none), and whether there may be others.
    """
    found: dict[str, inspect.Parameter] = {}
    for function in _constructors(target):
        try:
            declared = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # written in C
            return found, True
        hints = _hints(function)
        for parameter in declared:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter.replace(annotation=hints.get(parameter.name, Any)))
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in declared):
            found.pop("self", None)
            return found, False
    found.pop("self", None)
    return found, True


def _constructors(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    if isinstance(target, type):
        yield from (vars(kind)["__init__"] for kind in target.__mro__ if "__init__" in vars(kind))
    else:
        yield target


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # names that only a type checker imports
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value may be of a type. True if this cannot be decided.

    Example:
        >>> fits([1, 2], tuple[int, int]), fits([1], tuple[int, int]), fits(None, int | None), fits("a", float)
        (True, False, True, False)
    """
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if hint is Any or (isinstance(value, Mapping) and "_target_" in value):
        return True  # a mapping with a `_target_` stands for an object
    if origin in (Union, types.UnionType):
        return any(fits(value, choice) for choice in inner)
    if origin is Annotated:
        return fits(value, inner[0])
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin in (None, types.NoneType):
        return value is None
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin in (int, bool, str):
        return type(value) is origin
    if not isinstance(origin, type) or origin is object:
        return True
    return _fits_class(value, origin, inner)


def _fits_class(value: Any, kind: type, inner: tuple[Any, ...]) -> bool:
    if issubclass(kind, PurePath | Enum):
        return isinstance(value, str)
    if isinstance(value, Mapping):
        return issubclass(dict, kind) or not issubclass(kind, (*_SEQUENCES, str))
    if not isinstance(value, list):
        return False
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return (kind in _SEQUENCES or issubclass(list, kind)) and all(fits(item, inner[0]) for item in value if inner)


def describe(hint: Any) -> str:
    """Describes a type in words.

    Example:
        >>> describe(int | None), describe(Literal["rgb", "bgr"]), describe(tuple[int, int])
        ('int or null', "'rgb' or 'bgr'", 'tuple[int, int]')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(describe, get_args(hint))))
    if get_origin(hint) is Literal:
        return " or ".join("null" if choice is None else repr(choice) for choice in get_args(hint))
    if hint in (None, types.NoneType):
        return "null"
    if hint is bool:
        return "true or false"
    if is_typeddict(hint):
        return "a mapping"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else re.sub(r"\b(\w+\.)+", "", str(hint))


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
