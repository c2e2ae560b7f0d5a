"""The data that a run was tested on, for its page."""

from collections.abc import Iterator, Mapping
from pydoc import ErrorDuringImport, locate
from typing import TYPE_CHECKING, Any

import yaml

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.judging import Rule, culane_rule, tusimple_rule
from lgad_lightning.reporting.run import Run
from lgad_lightning.reporting.run_page import Tested

if TYPE_CHECKING:  # Lightning takes seconds, which a run that was not tested does not need
    from lgad_lightning.data import LaneDataModule

_PACKAGE = "lgad_lightning."


def tested(data: "LaneDataModule") -> Tested | str:
    """The test split and its rule.

    Args:
        data: What a run was trained on.

    Returns:
        Why it is not at hand, if it is not.
    """
    try:
        return Tested(data.open("test"), _rule(data))
    except LgadError as error:
        return str(error)


def find_tested(run: Run) -> Tested | str:
    """The same of a stored run. A page runs no code but this package's, whoever the run is from.

    Args:
        run: The run.
    """
    if run.state:
        return "the run has not been tested."
    try:
        settings = yaml.safe_load((run.folder / "config.yaml").read_text(encoding="utf-8"))
        node = settings["data"] | ({"root": run.data["root"]} if "root" in run.data else {})
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return f"{run.folder / 'config.yaml'}, which tells the data, is missing or damaged."
    if foreign := next((name for name in _targets(node) if not _is_ours(name)), None):
        return f"the data are read by {foreign}, which is not part of this package; lgad-fit shows them at its end."
    from lgad_lightning.commands.nodes import build

    try:
        return tested(build("data", node))
    except LgadError as error:
        return str(error)


def _rule(data: "LaneDataModule") -> Rule:
    from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy

    metric = data.protocol.metric()
    if isinstance(metric, TuSimpleAccuracy):
        return tusimple_rule()
    if isinstance(metric, CULaneF1):
        return culane_rule(metric.threshold, metric.image_size, metric.width)
    return culane_rule()


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _is_ours(name: str) -> bool:
    """Whether a name is that of a class of this package, and not of something that a module of it has imported."""
    if not name.startswith(_PACKAGE):
        return False
    try:
        found = locate(name)
    except ErrorDuringImport:
        return False
    return isinstance(found, type) and found.__module__.startswith(_PACKAGE)
