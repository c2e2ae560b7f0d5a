from .culane import CULaneF1
from .pixels import PixelF1
from .tusimple import TuSimpleAccuracy

__all__ = ["CULaneF1", "PixelF1", "TuSimpleAccuracy"]
