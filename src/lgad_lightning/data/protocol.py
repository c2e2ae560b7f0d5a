"""Protocols: how the lanes of each data set are decoded, scored and written."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from lgad_lightning.lanes import CULaneDecoder, MaskDecoder, TuSimpleDecoder
from lgad_lightning.metrics import CULaneF1, PixelF1, TuSimpleAccuracy
from lgad_lightning.metrics.base import LaneMetric


@dataclass(frozen=True)
class Protocol:
    """The protocol for the evaluation of a data set.

    Args:
        name: The name of the protocol.
        decoder: Makes the decoder, with the official settings.
        metric: Makes the metric.
        format: The format of predictions that the evaluator reads. `culane`: a `.lines.txt` for each image. `tusimple`:
            TuSimple's JSON.
    """

    name: str
    decoder: Callable[[], Any]
    metric: Callable[[], LaneMetric]
    format: Literal["culane", "tusimple"] = "culane"


CULANE = Protocol("culane", CULaneDecoder, CULaneF1)
TUSIMPLE = Protocol("tusimple", TuSimpleDecoder, TuSimpleAccuracy, "tusimple")
_WHOLE_HEIGHT = partial(CULaneDecoder, rows=30)  # for cameras that look down, or see far

CURVELANES = Protocol("curvelanes", _WHOLE_HEIGHT, partial(CULaneF1, width=5, image_size=(224, 224)))
LLAMAS = Protocol("llamas", CULaneDecoder, partial(CULaneF1, image_size=(717, 1276)))
OPENLANE = Protocol("openlane", CULaneDecoder, partial(CULaneF1, threshold=0.3, image_size=(1280, 1920)))
OWN = Protocol("culane", _WHOLE_HEIGHT, CULaneF1)
PIXELS = Protocol("pixels", MaskDecoder, PixelF1)
PROTOCOLS = (CULANE, TUSIMPLE, CURVELANES, LLAMAS, OPENLANE, PIXELS)
