from .culane import CULaneF1
from .tusimple import TuSimpleAccuracy

__all__ = ["CULaneF1", "TuSimpleAccuracy"]
