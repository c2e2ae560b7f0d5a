"""The configuration reference, made of `conf/` when the site is built: every key with its default and its meaning.

A meaning stands in one place: the docstring of the class that the key is an argument of, the comment beside the key, or
both. A key without either has that of the same key elsewhere in `conf/`, `teacher.trainer.devices` that of
`trainer.devices`.
"""

import inspect
import pydoc
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docstring_parser.google
import yaml

if TYPE_CHECKING:  # tests read the keys without Sphinx
    from sphinx.application import Sphinx

PLACE = "<!-- The keys of conf/ come here when the site is built. -->"
OURS = "lgad_lightning."
GROUPS = {
    "": "Every run",
    "data": "data=",
    "network": "network=",
    "distillation": "distillation=",
    "trainer": "trainer=",
    "callbacks": "callbacks=",
    "logger": "logger=",
    "hydra/sweeper": "hydra/sweeper=",
    "hydra/launcher": "hydra/launcher=",
    "experiment": "+experiment=",
    "cli": "lgad-cli",
}
"""The folders of `conf/` in the order of the page, with their titles."""

_CLASS_KEYS = ("_target_", "class_path")


@dataclass(frozen=True)
class Key:
    """A key of a configuration.

    Attributes:
        path: The names that lead to it, joined by points, as one types them.
        default: Its value as YAML, or the class of the object that it describes.
        meaning: What it does; empty if nothing tells.
    """

    path: str
    default: str
    meaning: str


def read_configurations(conf: Path) -> dict[Path, list[Key]]:
    """The keys of all files.

    Args:
        conf: The folder of the configurations.

    Returns:
        The keys of each file, by its path below the folder, in the order of `GROUPS`.
    """
    files = sorted(conf.rglob("*.yaml"), key=lambda path: (list(GROUPS).index(_group(path, conf)), path.stem))
    found = {path.relative_to(conf): list(read_keys(path, conf)) for path in files}
    told = {key.path: key.meaning for keys in found.values() for key in keys if key.meaning and key.path[-1] != "]"}
    return {path: [replace(key, meaning=_meaning_elsewhere(key, told)) for key in keys] for path, keys in found.items()}


def read_keys(path: Path, conf: Path) -> Iterator[Key]:
    """The keys of one file, with what itself and the docstrings tell of them.

    Args:
        path: The file.
        conf: The folder of the configurations: a file in a folder of it holds what is below a key of that name.
    """
    text = path.read_text()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    is_global = text.startswith("# @package _global_") or path.parent.name == "cli"
    prefix = "" if is_global else _group(path, conf).replace("/", ".")
    if isinstance(node, yaml.MappingNode):
        yield from _keys_below(node, prefix, text.splitlines())


def description_of(text: str) -> str:
    """What the comment at the top of a file tells of it."""
    comments = re.match(r"(?:#.*\n)*", text)
    lines = comments[0].splitlines() if comments else []
    return " ".join(line.lstrip("# ") for line in lines if "@package" not in line)


def reference(conf: Path) -> str:
    """The part of the page that is generated, as Markdown.

    Args:
        conf: The folder of the configurations.
    """
    parts, group = [], None
    for path, keys in read_configurations(conf).items():
        if group != (group := path.parent.as_posix().removeprefix(".")):
            parts.append(f"## {GROUPS[group]}")
        name = f"conf/{path.as_posix()}"
        parts.append(f"### `{path.stem if group else name}`\n\n{description_of((conf / path).read_text())}")
        parts.append("\n\n".join(f"`{key.path}` {_default(key)}\n: {key.meaning}" for key in keys))
    return "\n\n".join(parts)


def _meaning_elsewhere(key: Key, told: dict[str, str]) -> str:
    names = key.path.split(".")
    ends = (".".join(names[start:]) for start in range(max(len(names) - 1, 1)))
    return key.meaning or next((told[end] for end in ends if end in told), "")


def _default(key: Key) -> str:
    if key.default.startswith(OURS):
        return "{py:obj}" + f"`{key.default.rpartition('.')[2]} <{key.default}>`"
    return f"= `{key.default}`" if key.default else ""


def _group(path: Path, conf: Path) -> str:
    return path.parent.relative_to(conf).as_posix().removeprefix(".")


def _keys_below(node: yaml.MappingNode, prefix: str, lines: list[str], target: str = "") -> Iterator[Key]:
    values = {key.value: value for key, value in node.value}
    target = next((values[name].value for name in _CLASS_KEYS if name in values), target)
    for name, value in node.value:
        if name.value in (*_CLASS_KEYS, "_partial_", "defaults"):
            continue
        if name.value == "init_args":
            yield from _keys_below(value, prefix, lines, target)
            continue
        path = f"{prefix}.{name.value}".lstrip(".")
        inner = _class_of(value)
        told = _joined([argument_of(target, name.value), _comment(name, value, lines)])
        key = Key(path, inner or _as_yaml(value), told or summary_of(inner))
        if key.default or key.meaning:  # otherwise nothing but the start of other keys' paths
            yield key
        if isinstance(value, yaml.MappingNode):
            yield from _keys_below(value, path, lines)
        elif isinstance(value, yaml.SequenceNode):
            for item in value.value:
                if isinstance(item, yaml.MappingNode) and (kind := _class_of(item)):
                    yield Key(f"{path}[]", kind, _comment(*item.value[0], lines) or summary_of(kind))
                    yield from _keys_below(item, f"{path}[]", lines)


def _class_of(node: yaml.Node) -> str:
    if not isinstance(node, yaml.MappingNode):
        return ""
    return next((value.value for key, value in node.value if key.value in _CLASS_KEYS), "")


def _as_yaml(node: yaml.Node) -> str:
    """A value as it stands in the file; nothing for what holds other keys."""
    if isinstance(node, yaml.MappingNode) and node.value:
        return ""
    if isinstance(node, yaml.SequenceNode) and any(isinstance(item, yaml.MappingNode) for item in node.value):
        return ""
    return node.start_mark.buffer[node.start_mark.pointer : node.end_mark.pointer].strip()


def _comment(name: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    line = name.start_mark.line
    after = value.end_mark if value.end_mark.line == line else name.end_mark
    comment = re.search(r"(?:^|\s)# (.*)", lines[line][after.column :])
    return comment[1].strip() if comment else ""


def _joined(told: list[str]) -> str:
    """The first that tells something, and what another one adds."""
    said: list[str] = []
    for text in filter(None, told):
        if _plain(text) not in _plain(" ".join(said)):
            said.append(text.rstrip("."))
    return "; ".join(said)


def _plain(text: str) -> str:
    return text.replace("`", "").rstrip(".").casefold()


def argument_of(target: str, name: str) -> str:
    """What the docstrings of this package tell of an argument; empty for classes of others.

    Args:
        target: Path of a class or a function.
        name: An argument of it, or of a class that it derives from.
    """
    for kind in _kinds(target):
        for parameter in docstring_parser.google.parse(inspect.getdoc(kind) or "").params:
            told = " ".join((parameter.description or "").split())
            if parameter.arg_name == name and not told.startswith("See `"):
                return told
    return ""


def summary_of(target: str) -> str:
    """The first line of a docstring of this package; empty for classes of others."""
    kinds = _kinds(target)
    return (inspect.getdoc(kinds[0]) or "").partition("\n")[0] if kinds else ""


def _kinds(target: str) -> list[Any]:
    if not target.startswith(OURS):
        return []
    found = pydoc.locate(target)
    if found is None:
        raise LookupError(f"conf/ names {target}, which is not there")
    mro = inspect.getmro(found) if isinstance(found, type) else (found,)
    return [kind for kind in mro if kind.__module__.startswith(OURS)]


def _fill_in(app: "Sphinx", name: str, source: list[str]) -> None:
    if PLACE in source[0]:
        source[0] = source[0].replace(PLACE, reference(Path(app.confdir).parent / "conf"))


def setup(app: "Sphinx") -> dict[str, bool]:
    """Has Sphinx fill in the keys where a page asks for them."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True}
