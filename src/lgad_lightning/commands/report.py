"""`lgad-report`: makes a page of a run, or of runs compared seed by seed."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lgad_lightning import __version__
from lgad_lightning.commands.console import CommandParser, run_command
from lgad_lightning.commands.figures import plain_console
from lgad_lightning.commands.outputs import (
    Recognise,
    check_distinct,
    check_output,
    csv_bytes,
    csv_with,
    json_bytes,
    json_with,
    write_output,
)
from lgad_lightning.reporting.arms import group_runs
from lgad_lightning.reporting.comparing import ArmResult, Comparison, compare_arms
from lgad_lightning.reporting.comparison_page import comparison_page
from lgad_lightning.reporting.page import check_packages, is_page
from lgad_lightning.reporting.run import Run, find_runs
from lgad_lightning.reporting.run_page import run_page
from lgad_lightning.reporting.tested import TESTED, read_tested

_HEADER = (
    "arm", "seeds", "not complete", "mean", "deviation", "low", "high", "difference", "difference low",
    "difference high", "p", "established", "pairs", "steps",
)  # fmt: skip
_KEYS = ("figure", "baseline", "arms")


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    run_command("lgad-report", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("lgad-report", description="Show a run of lgad-fit, or compare several seed by seed.")
    parser.add_argument("--version", action="version", version=f"lgad-report {__version__}")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run, or of a sweep")
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="OUT", help="the page to write (default: report.html)"
    )
    parser.add_argument("--table", action="store_true", help="print the comparison only, and write no page")
    parser.add_argument(
        "--figure",
        default=None,
        metavar="NAME",
        help="what to compare: f1, iou, night/f1, ...; default: f1, or accuracy",
    )
    parser.add_argument(
        "--baseline", metavar="ARM", help="the arm to compare with: a part of its name; default: the first arm"
    )
    parser.add_argument("--csv", type=Path, metavar="OUT", help="write the table as CSV")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures as JSON")
    parser.add_argument("--overwrite", action="store_true", help="replace files that lgad-report did not write")
    return parser


def _run(options: argparse.Namespace) -> None:
    outputs: list[tuple[Path | None, Recognise]] = [
        (options.csv, csv_with(*_HEADER)),
        (options.json, json_with(*_KEYS)),
        (None if options.table else options.out, is_page),
    ]
    if not options.table:
        check_packages()
    for path, recognise in outputs:
        if path is not None:
            check_output(path, recognise, options.overwrite)
    check_distinct({"--csv": options.csv, "--json": options.json, "--out": None if options.table else options.out})
    runs = find_runs(options.runs)
    compared = [options.csv, options.json, options.figure, options.baseline]
    if len(runs) == 1 and not options.table and compared == [None] * 4:
        page = run_page(runs[0], read_tested(runs[0].folder / TESTED))
    else:
        comparison = _compare(runs, options)
        page = b"" if options.table else comparison_page(comparison)
    if not options.table:
        write_output(options.out, page)
        plain_console().print(f"Written: {options.out}", highlight=False, soft_wrap=True)


def _compare(runs: Sequence[Run], options: argparse.Namespace) -> Comparison:
    """Makes the comparison, prints it, and writes the table."""
    arms = group_runs(runs)
    first = next((run for arm in arms for run in arm.runs.values()), None)
    usual = "accuracy" if first is not None and "f1" not in first.figures else "f1"
    figure = usual if options.figure is None else options.figure
    comparison = compare_arms(arms, figure, options.baseline)
    console = plain_console()
    console.print(comparison_table(comparison))
    for arm in arms:
        for folder, why in arm.left_out(figure):
            console.print(f"Left out: {folder}: {why}", highlight=False, soft_wrap=True)
    if options.csv is not None:
        write_output(options.csv, csv_bytes([_HEADER, *(list(row(result).values()) for result in comparison.results)]))
    if options.json is not None:
        arms_told = [details(result, figure) for result in comparison.results]
        content = {"figure": figure, "baseline": comparison.baseline.name, "arms": arms_told}
        write_output(options.json, json_bytes(content))
    return comparison


def comparison_table(comparison: Comparison) -> Table:
    """Makes the table that is printed. A difference is marked if its interval excludes zero."""
    caption = (
        "[95 % interval]; *: it excludes zero; p: exact sign-flip test; steps: until the baseline's best validation"
    )
    columns = ("arm", "seeds", "mean (deviation)", "difference", "p", "steps")
    table = Table(*columns, title=comparison.figure, caption=caption)
    table.columns[0].overflow = "fold"  # an override has no blanks to wrap at
    table.columns[0].min_width = min(16, max(len(result.arm.name) for result in comparison.results))
    for column in table.columns[1:]:
        column.no_wrap = True
    for result in comparison.results:
        summary, difference = result.summary, result.difference
        figure = told = p = ""
        form = ".3f" if summary is None or abs(summary.mean) < 1000 else ".1f"  # of numbers of lanes
        if summary is not None:
            figure = f"{summary.mean:{form}}"
        if summary is not None and summary.seeds > 1:
            figure += f" ({summary.deviation:{form}})\n[{summary.low:{form}}, {summary.high:{form}}]"
        if difference is not None:
            told = f"{difference.mean:+{form}}" + " *" * difference.established
        if difference is not None and summary is not None and difference.seeds < summary.seeds:
            told += f" ({difference.seeds} pair{'s' * (difference.seeds > 1)})"
        if difference is not None and difference.seeds > 1:
            told += f"\n[{difference.low:+{form}}, {difference.high:+{form}}]"
            p = difference.p_text
        steps = "-" if result.steps is None else f"{result.steps:,}"
        table.add_row(result.arm.name, result.seeds, figure, told, p, steps)
    return table


def row(result: ArmResult) -> dict[str, Any]:
    """A line of the CSV. Unknown values are empty."""
    summary, difference = result.summary, result.difference
    values = [result.arm.name, 0 if summary is None else summary.seeds, len(result.arm.others)]
    values += [""] * 4 if summary is None else [summary.mean, summary.deviation, summary.low, summary.high]
    if difference is None:
        values += [""] * 6
    else:
        values += [difference.mean, difference.low, difference.high, difference.p, difference.established]
        values.append(difference.seeds)
    values.append("" if result.steps is None else result.steps)
    blank = ["" if isinstance(value, float) and math.isnan(value) else value for value in values]
    return dict(zip(_HEADER, blank, strict=True))


def details(result: ArmResult, figure: str) -> dict[str, Any]:
    """An arm in the JSON: the line of the CSV, each seed's figure and run, and the scenarios."""
    known = {key: value if value != "" else None for key, value in row(result).items()}
    figures = result.arm.figures(figure)
    runs = {seed: {"folder": str(run.folder), figure: figures.get(seed)} for seed, run in result.arm.runs.items()}
    left_out = [{"folder": str(folder), "state": why} for folder, why in result.arm.left_out(figure)]
    return known | {"runs": runs, "left out": left_out, "scenario differences": result.scenarios}


if __name__ == "__main__":
    main()
