"""The log of a run. A resumed run appends to the log that is there."""

import csv
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from typing_extensions import override

from lgad_lightning.longwork.whole_file import whole_file

LOG = Path("version_0", "metrics.csv")
"""The path of a phase's figures, relative to its folder."""


class RunCSVLogger(CSVLogger):
    """Lightning's `CSVLogger`, but it appends to the file that is there. `rewind` removes what will be logged again.

    Args:
        save_dir: The run's folder.
        name: The phase, which is a folder in it.
    """

    def __init__(self, save_dir: str | Path, name: str) -> None:
        super().__init__(save_dir, name, version=0)

    @property
    @override
    def experiment(self) -> ExperimentWriter:
        if self._experiment is None:
            self._experiment = _ContinuedWriter(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]


class _ContinuedWriter(ExperimentWriter):
    @override
    def _check_log_dir_exists(self) -> None:
        """Takes over the columns of the file. Lightning's method would remove the file."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])
            if not self.metrics_keys:
                path.unlink()


def rewind(log: Path, step: int) -> None:
    """Removes the lines that a resumed training will log again.

    Args:
        log: The file. It may be missing, or cut off in the middle of a line.
        step: The number of optimiser steps that the training has taken.
    """
    if not log.is_file():
        return
    with log.open(newline="", errors="replace") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        whole = [row for row in reader if None not in row and None not in row.values()]
    rows = [row for row in whole if row.get("step", "").isdecimal() and int(row["step"]) < step]
    with whole_file(log) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
