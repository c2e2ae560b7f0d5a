"""Writes the page at the end of `lgad-fit`."""

import logging
from pathlib import Path

from lgad_lightning.commands.mistakes import describe
from lgad_lightning.commands.outputs import check_output, write_output
from lgad_lightning.commands.tested import tested
from lgad_lightning.data import LaneDataModule
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.reporting.page import is_page, missing_packages
from lgad_lightning.reporting.run import read_run
from lgad_lightning.reporting.run_page import run_page

log = logging.getLogger(__name__)

PAGE = "report.html"


def leave_page(run_dir: Path, data: LaneDataModule, metric: LaneMetric | None = None) -> None:
    """Writes the page of a run into its folder, if the extra `report` is installed. It never fails.

    Args:
        run_dir: The run's folder.
        data: What it was trained on.
        metric: The metric of its test. By default, that of the data.
    """
    if missing_packages():
        return
    path = run_dir / PAGE
    try:
        check_output(path, is_page)
        write_output(path, run_page(read_run(run_dir), tested(data, metric)))
        log.info("Page: %s", path)
    except Exception as error:
        log.warning("The page of the run was not written: %s", describe(error))
        log.debug("The page:", exc_info=True)
