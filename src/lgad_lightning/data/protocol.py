"""What fits together: how a data set's lanes are decoded, scored and written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lgad_lightning.lanes import CULaneDecoder, TuSimpleDecoder
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy
from lgad_lightning.metrics.base import LaneMetric


@dataclass(frozen=True)
class Protocol:
    """The protocol that a data set is evaluated by.

    Args:
        name: Its name; also the format of predictions that its evaluator reads.
        decoder: Makes its decoder, with the official settings.
        metric: Makes its metric.
    """

    name: Literal["culane", "tusimple"]
    decoder: Callable[[], Any]
    metric: Callable[[], LaneMetric]


CULANE = Protocol("culane", CULaneDecoder, CULaneF1)
TUSIMPLE = Protocol("tusimple", TuSimpleDecoder, TuSimpleAccuracy)
PROTOCOLS = (CULANE, TUSIMPLE)
