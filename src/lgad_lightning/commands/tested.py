"""The data that a run was tested on, for its page."""

from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.reporting.judging import Rule, culane_rule, tusimple_rule
from lgad_lightning.reporting.tested import Tested


def tested(data: LaneDataModule, metric: LaneMetric | None) -> Tested | str:
    """The test split and its rule.

    Args:
        data: What a run was trained on.
        metric: The metric of its test. None: that of the data.

    Returns:
        The test split with its rule, or the reason if they cannot be used.
    """
    try:
        source = data.open("test")
    except LgadError as error:
        return str(error)
    return Tested(source, _rule(metric or data.protocol.metric()), len(source))


def _rule(metric: LaneMetric) -> Rule:
    if isinstance(metric, TuSimpleAccuracy):
        return tusimple_rule()
    if isinstance(metric, CULaneF1):
        return culane_rule(metric.threshold, metric.image_size, metric.width)
    return culane_rule()
