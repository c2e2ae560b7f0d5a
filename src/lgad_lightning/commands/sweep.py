"""The result of a sweep (`lgad-fit -m`): a table of its jobs."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from lgad_lightning.commands.command_line import NEEDS_EXTRA, as_given, swept
from lgad_lightning.commands.figures import format_figure, plain_console
from lgad_lightning.commands.outputs import json_bytes, write_output
from lgad_lightning.commands.trial import SWEEPER
from lgad_lightning.data.find_files import RUN
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import whole_file

FAILED = "failed.json"
FIGURES = ("f1", "accuracy", "iou")
PRUNED = "pruned"
"""The beginning of the reason if a trial was pruned."""


class SweepTable(Callback):
    """Hydra's callback of `lgad-fit`. After a sweep, it prints the jobs' overrides and figures, and writes `sweep.csv`.

    If a job failed, the sweep ends with exit code 1. The same sweep into the same folder continues there and skips the
    jobs that are complete. Another sweep's folder is refused.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuses a search without Optuna, and the folder of another sweep."""
        if config.hydra.sweeper._target_ == SWEEPER and find_spec("optuna") is None:
            sys.exit(f"lgad-fit: hydra/sweeper=optuna {NEEDS_EXTRA}")
        folder = Path(config.hydra.sweep.dir)
        if (jobs := job_folders(folder)) and swept(folder) != as_given(config.hydra.overrides.task):
            sys.exit(
                f"lgad-fit: {folder} holds the jobs of another sweep already ({len(jobs)}), which would be mixed with "
                "this one's: give a new hydra.sweep.dir."
            )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints and writes the table."""
        folder = Path(config.hydra.sweep.dir)
        rows = [read_job(job) for job in job_folders(folder)]
        header, lines = tabulate(rows)
        with whole_file(folder / "sweep.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *lines])
        table = Table(*header, title=f"{folder}")
        for line in lines:
            table.add_row(*line)
        plain_console().print(table)
        if failed := [row["job"] for row in rows if row["error"] and not row["error"].startswith(PRUNED)]:
            sys.exit(f"lgad-fit: {len(failed)} of {len(rows)} jobs failed: {', '.join(failed)}.")


def earlier_job(folder: Path, overrides: Sequence[str]) -> dict[str, Any] | None:
    """Reads the figures of this job from before its sweep was interrupted.

    Args:
        folder: The job's folder.
        overrides: The overrides that the job is started with.

    Returns:
        The figures, an empty dictionary if the job has none yet. None if it was not begun.

    Raises:
        LgadError: If the folder holds another job.
    """
    (folder / FAILED).unlink(missing_ok=True)
    if not (folder / ".hydra" / "config.yaml").is_file():
        return None
    if as_given(OmegaConf.load(folder / ".hydra" / "overrides.yaml")) != list(overrides):
        raise LgadError(f"{folder} holds another job of the sweep: give a new hydra.sweep.dir.")
    return dict(read_job(folder)["figures"])


def write_failure(folder: Path, overrides: Sequence[str], message: str) -> None:
    """Writes to a job's folder why it failed.

    Args:
        folder: The job's folder.
        overrides: The overrides that the job was started with.
        message: The reason why it ended. Only its first line is kept.
    """
    write_output(folder / FAILED, json_bytes({"overrides": list(overrides), "error": message.split("\n")[0]}))


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs, in order. `hydra.sweep.subdir` may be one or two folders deep."""
    marks = [mark for name in (RUN, FAILED) for depth in ("*", "*/*") for mark in sweep.glob(f"{depth}/{name}")]
    return sorted({mark.parent for mark in marks}, key=lambda folder: (len(folder.name), folder.name))


def read_job(folder: Path) -> dict[str, Any]:
    """Reads a job's name, overrides and figures and, if it failed, the reason."""
    if (folder / "metrics.json").is_file():
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        overrides = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
        job = {"overrides": overrides, "figures": metrics["total"] | metrics.get("pixels", {}), "error": ""}
    elif (folder / FAILED).is_file():
        job = json.loads((folder / FAILED).read_text(encoding="utf-8")) | {"figures": {}}
    else:
        job = {"overrides": [], "figures": {}, "error": "ended without figures"}
    return job | {"job": folder.name}


def tabulate(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Makes header and lines of a sweep's table: the overrides in which its jobs differ, figures and errors."""
    count = Counter(override for row in rows for override in row["overrides"])
    keys = list(dict.fromkeys(text.partition("=")[0] for text, jobs in count.items() if jobs < len(rows)))
    figures = [name for name in FIGURES if any(name in row["figures"] for row in rows)]
    lines = []
    for row in rows:
        given = dict(text.split("=", 1) for text in row["overrides"] if "=" in text)
        shown = [format_figure(row["figures"][name]) if name in row["figures"] else "" for name in figures]
        lines.append([row["job"], *(given.get(key, "") for key in keys), *shown, row["error"]])
    return ["job", *keys, *figures, "failed"], lines
