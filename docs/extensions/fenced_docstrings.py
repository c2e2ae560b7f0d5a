"""Docstrings of this package show text as it is between two lines of three backquotes; Sphinx wants it indented."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a test needs no Sphinx
    from sphinx.application import Sphinx


def indented(lines: list[str]) -> list[str]:
    """Docstring lines whose fenced blocks have become literal blocks of reStructuredText.

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
            found.append(f"    {line}" if inside else line)
    return found


def _indent(app: "Sphinx", what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = indented(lines)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Has autodoc indent them before it reads a docstring."""
    app.connect("autodoc-process-docstring", _indent)
    return {"parallel_read_safe": True}
