from .augment import LaneAugmentation, LaneFlip
from .base import LaneDataModule, OfficialCounts
from .culane import CULaneDataModule
from .dataset import LaneBatch
from .folder import LaneFolderDataModule
from .preprocessing import Preprocessing
from .source import LaneSource
from .synthetic.module import SyntheticLaneDataModule
from .tusimple import TuSimpleDataModule

__all__ = [
    "CULaneDataModule",
    "LaneAugmentation",
    "LaneBatch",
    "LaneDataModule",
    "LaneFlip",
    "LaneFolderDataModule",
    "LaneSource",
    "OfficialCounts",
    "Preprocessing",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
]
