from .found import FoundLane
from .predictor import LanePredictor

__all__ = ["FoundLane", "LanePredictor"]
