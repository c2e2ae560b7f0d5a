"""Prints the figures of a test."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def plain_console() -> Console:
    """A console that prints names as they are. It finds no markup in `a [night].jpg` and no emoji in `:car:.jpg`."""
    return Console(markup=False, emoji=False)


def results_table(results: Mapping[str, Any]) -> Table:
    """A table of a metric's results: a row for each scenario, then the total.

    Args:
        results: `{"total": {...}, "scenarios": {"normal": {...}, ...}}` as a metric's `results()` returns it.
    """
    columns = list(results["total"])
    table = Table("scenario", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for scenario, figures in results["scenarios"].items():
        table.add_row(scenario, *(format_figure(figures[column]) for column in columns))
    table.add_section()
    table.add_row("total", *(format_figure(results["total"][column]) for column in columns), style="bold")
    return table


def format_figure(value: float) -> str:
    """Formats counts as they are, ratios with four decimals, and undefined ratios (-1) as a dash."""
    if isinstance(value, int):
        return str(value)
    return "-" if value == -1 else f"{value:.4f}"


def main_figure(figures: Mapping[str, float]) -> float:
    """The figure that stands for a test: F1 or accuracy, else the first one, of a teacher or the user's own metric."""
    first = next(iter(figures))
    return float(figures[next((name for name in ("f1", "accuracy") if name in figures), first)])


def print_results(results: Mapping[str, Any]) -> None:
    """Prints the table and the pixel figures of a test."""
    console = plain_console()
    console.print(results_table(results))
    for name, value in results.get("pixels", {}).items():
        console.print(f"{name.replace('_', ' ')}: {value:.4f}", highlight=False)


def print_breakdown(breakdown: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Prints the recall by slot and by distance.

    Args:
        breakdown: What `recall_by_part` returned.
    """
    titles = {"slots": "lanes, left to right", "rows": "image rows, from the camera on"}
    for key, parts in breakdown.items():
        table = Table(titles[key], "annotated", "found", "recall", caption="not part of the official protocol")
        for name, figures in parts.items():
            table.add_row(name, *map(format_figure, figures.values()))
        plain_console().print(table)
