"""The official lane metrics, as `torchmetrics` classes and (in `functional`) as functions."""

from lgad_lightning.metrics.culane import CULaneF1
from lgad_lightning.metrics.tusimple import TuSimpleAccuracy

__all__ = ["CULaneF1", "TuSimpleAccuracy"]
