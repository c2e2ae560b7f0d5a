"""Reads a page as a browser would, but for its scripts."""

import json
from html.parser import HTMLParser
from typing import Any

from typing_extensions import override

_VOID = {"meta", "link", "img", "input", "br", "polyline", "line"}


class Page(HTMLParser):
    """What is in a page.

    Attributes:
        tables: The rows of each table, by its id.
        charts: What is drawn by scripts.
        text: What is to be read.
        elements: Tag and attributes of each element.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.charts: list[dict[str, Any]] = []
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._table = self._script = ""
        self.feed(content.decode())
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = given.get("id") or ""
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        elif tag == "script":
            self._script = given.get("id") or ""

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag, f"{tag} closes another element"

    @override
    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            if self._script == "charts":
                self.charts = json.loads(data)
            return
        if "style" not in self._open:
            self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[self._table][-1][-1] += data.strip()

    def chart(self, title: str) -> dict[str, Any]:
        """The chart of a title."""
        return next(chart for chart in self.charts if chart["title"] == title)

    def lines(self, title: str) -> dict[str, list[tuple[Any, Any]]]:
        """The points of each series of a chart."""
        series = self.chart(title)["series"]
        return {one["name"]: list(zip(one["x"], one["y"], strict=True)) for one in series}
