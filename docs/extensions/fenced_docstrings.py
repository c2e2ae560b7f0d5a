"""Translates docstrings for Sphinx: blocks between lines of three backquotes, and endings of files such as `.npz`."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a test needs no Sphinx
    from sphinx.application import Sphinx

_ENDING = re.compile(r"(?<!`)`(\.[\w.]+)`(?!`)")


def translated(lines: list[str]) -> list[str]:
    """Turns fenced blocks into literal blocks of reStructuredText, and endings of files into literal text.

    (In single backquotes, an ending would be a reference, which Sphinx shows without its dot.)

    Args:
        lines: The lines of a docstring.
    """
    found: list[str] = []
    inside = False
    for line in lines:
        if line.strip().startswith("```"):
            inside = not inside
            found += ["", "::", ""] if inside else [""]
        else:
            found.append(f"    {line}" if inside else _ENDING.sub(r"``\1``", line))
    return found


def _translate(app: "Sphinx", what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = translated(lines)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Lets autodoc translate each docstring."""
    app.connect("autodoc-process-docstring", _translate)
    return {"parallel_read_safe": True}
