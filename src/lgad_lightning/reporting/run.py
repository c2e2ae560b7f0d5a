"""Reads runs of `lgad-fit` from their folders."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import yaml

from lgad_lightning.data.find_files import RUN, walk
from lgad_lightning.errors import LgadError, first_line

Curve = list[tuple[int, float]]
"""Optimiser steps and a figure. The figure is NaN if the logged value was not finite."""


@dataclass(frozen=True)
class Run:
    """The results of a run.

    Args:
        folder: Its folder.
        state: Empty for a complete run, otherwise the reason why it has no figures.
        overrides: The overrides that it was started with.
        config: Its configuration, by the full name of each key.
        figures: The test's figures by name: `f1`, `iou`, and `night/f1` for a scenario.
        data: What it was trained on: `module`, `root` and `identity`.
        links: The addresses at which trackers show it, by their names.
    """

    folder: Path
    state: str
    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    figures: Mapping[str, float]
    data: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.config["seed"])

    def curves(self) -> dict[str, Curve]:
        """Reads the curves that the student's training logged, by name."""
        return read_curves(self.folder / "student" / "version_0" / "metrics.csv")


def find_runs(paths: list[Path]) -> list[Run]:
    """Finds the runs in folders. A folder is that of a run, or holds those of a sweep.

    Args:
        paths: The folders.

    Raises:
        LgadError: If a folder is neither.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise LgadError(f"There is no folder {path}; give the folder of a run, or of a sweep.")
        found = [path] if (path / RUN).is_file() else [parent for parent, _, names in walk(path) if RUN in names]
        if not found:
            raise LgadError(f"{path} is no folder of a run of lgad-fit, and none below it is.")
        folders |= dict.fromkeys(folder.resolve() for folder in sorted(found, key=_in_order))
    return [read_run(folder) for folder in folders]


def _in_order(folder: Path) -> tuple[Path, int, str]:
    return folder.parent, len(folder.name), folder.name


def read_run(folder: Path) -> Run:
    """Reads the folder of a run.

    Args:
        folder: The folder. The run may be interrupted, or have failed.

    Raises:
        LgadError: If a file in it is damaged.
    """
    config = _flat(_read(folder / ".hydra" / "config.yaml", yaml.safe_load) or {})
    if any(_comes_from_outside(value) for value in config.values()):
        resolved = _flat(_read(folder / "config.yaml", yaml.safe_load) or {})
        config = {
            key: resolved.get(key, value) if _comes_from_outside(value) else value for key, value in config.items()
        }
    metrics = _read(folder / "metrics.json", json.loads)
    failed = _read(folder / "failed.json", json.loads) or {}
    if failed and not (isinstance(failed, dict) and {"error", "overrides"} <= failed.keys()):
        raise LgadError(f"{folder / 'failed.json'} is damaged: expected error and overrides.")
    overrides = tuple(_read(folder / ".hydra" / "overrides.yaml", yaml.safe_load) or failed.get("overrides", ()))
    if config and not str(config.get("seed")).isdecimal():
        raise LgadError(f"{folder / '.hydra' / 'config.yaml'} is damaged: expected a seed.")
    if metrics is None:
        return Run(folder, _state(failed, bool(config)), overrides, config, {}, {})
    if config.get("stage") == "teacher":
        return Run(folder, "a teacher's run", overrides, config, {}, {})
    try:
        total = metrics["total"] | metrics.get("pixels", {})
        scenarios = metrics.get("scenarios", {}).items()
        figures = {name: float(value) for name, value in total.items()}
        figures |= {f"{name}/{key}": float(value) for name, row in scenarios for key, value in row.items()}
        data = {"module": str(config["data._target_"]), **metrics.get("data", {})}
        links = {name: str(url) for name, url in metrics.get("trackers", {}).items() if str(url).startswith("http")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LgadError(
            f"{folder / 'metrics.json'} holds no test of a student (stage=teacher writes others)."
        ) from error
    return Run(folder, "", overrides, config, figures, data, links)


def _comes_from_outside(value: Any) -> bool:
    """Whether a value is taken from the environment, so that runs with the same configuration may differ in it."""
    return isinstance(value, str) and "${oc." in value


def _state(failed: Mapping[str, Any], begun: bool) -> str:
    """Why a run has no figures."""
    if not failed:
        return "interrupted, or still at work" if begun else "ended before it began"
    reason = str(failed["error"])
    return reason if reason.startswith("pruned") else f"failed: {reason}"


def read_curves(log: Path) -> dict[str, Curve]:
    """Reads what a training logged.

    Args:
        log: Lightning's `metrics.csv`. It may be missing, or cut off in the middle of a line.

    Returns:
        A curve for each figure.

    Raises:
        LgadError: If it is not a table.
    """
    curves: dict[str, Curve] = {}
    if not log.is_file():
        return curves
    with log.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            for step, name, text in _cells(file):
                if (value := _number(text)) is not None:
                    curves.setdefault(name, []).append((step, value))
        except csv.Error as error:
            raise LgadError(f"{log} is damaged: {error}.") from error
    return curves


def _cells(file: TextIO) -> Iterator[tuple[int, str, str]]:
    """Yields step, column and text of each cell of a log that holds a figure."""
    reader = csv.reader(file)
    columns = next(reader, [])
    if "step" not in columns:
        return
    place = columns.index("step")
    for row in reader:
        if len(row) != len(columns) or not row[place].isdecimal():
            continue  # the line was not written to its end
        step = int(row[place])
        for name, text in zip(columns, row, strict=True):
            if text and name not in ("step", "epoch"):
                yield step, name, text


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else math.nan


def _read(path: Path, parse: Any) -> Any:
    """The content of a file, None if it is missing or empty."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LgadError(f"{path} cannot be read: {error}.") from error
    try:
        return parse(text) if text.strip() else None
    except (ValueError, yaml.YAMLError) as error:
        raise LgadError(f"{path} is damaged: {first_line(error)}.") from error


def _flat(node: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(node, Mapping) or not node:
        return {key: node} if key else {}
    return dict(_items(node, f"{key}." if key else ""))


def _items(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        yield from _flat(value, f"{prefix}{name}").items()
