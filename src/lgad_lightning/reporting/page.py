"""Makes a page in one file: a template filled with plain values, and the library that draws its charts."""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from lgad_lightning import __version__
from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.charts import Chart

GENERATOR = "lgad-report"
_NEEDED = ("jinja2", "plotly")
_MARK = f'<meta name="generator" content="{GENERATOR}">'.encode()
_COUNTS = ("tp", "fp", "fn")


def missing_packages() -> list[str]:
    """The packages that a page needs and that are not installed."""
    return [name for name in _NEEDED if find_spec(name) is None]


def check_packages() -> None:
    """Checks whether a page can be made.

    Raises:
        LgadError: If a package is missing.
    """
    if missing := missing_packages():
        raise LgadError(
            f"A page needs {' and '.join(missing)}: python -m pip install 'lgad-lightning[report]'. "
            "--table compares runs without them."
        )


def is_page(content: bytes) -> bool:
    """Whether the content of a file is a page that `render` made."""
    return _MARK in content[:500]


def render(template: str, charts: Sequence[Chart], **values: Any) -> bytes:
    """Renders a page.

    Args:
        template: Name of the template in `templates/`.
        charts: Its charts. The template refers to them by their numbers.
        values: The other values that the template shows. All texts are escaped.

    Returns:
        HTML in UTF-8.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("lgad_lightning.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = shown
    html = environment.get_template(template).render(
        generator=GENERATOR,
        version=__version__,
        plotly=get_plotlyjs(),
        charts=[chart.values() for chart in charts],
        **values,
    )
    return html.encode(errors="replace")


def shown(value: float | None, count: bool = False, digits: int = 4) -> str:
    """Formats a figure.

    Args:
        value: The figure. -1: undefined in the protocols. None: not known.
        count: Whether it is a number of lanes.
        digits: Number of decimals if it is not a count.

    Example:
        >>> shown(0.75), shown(1200.0, count=True), shown(-1.0), shown(float("nan"))
        ('0.7500', '1,200', '-', 'not finite')
    """
    if value is None or value == -1:
        return "-"
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if count else f"{value:.{digits}f}"


def scenario_rows(figures: Mapping[str, float]) -> tuple[list[str], dict[str, list[str]]]:
    """Makes the table of a test.

    Args:
        figures: The figures of a run by name: `f1`, and `night/f1` for a scenario.

    Returns:
        The names of the columns, and the cells of each row. The last row is `total`.
    """
    scenarios = list(dict.fromkeys(name.rpartition("/")[0] for name in figures if "/" in name))
    first = scenarios[0] if scenarios else ""
    columns = [name.rpartition("/")[2] for name in figures if name.rpartition("/")[0] == first]
    counts = _COUNTS if "tp" in figures else ()  # TuSimple's fp and fn are shares
    rows = {
        scenario: [shown(figures.get(f"{scenario}/{column}"), column in counts) for column in columns]
        for scenario in scenarios
    }
    return columns, rows | {"total": [shown(figures.get(column), column in counts) for column in columns]}
