from .augment import LaneAugmentation, LaneFlip
from .base import LaneDataModule
from .bdd100k import BDD100KDataModule
from .culane import CULaneDataModule
from .curvelanes import CurveLanesDataModule
from .dataset import LaneBatch
from .folder import LaneFolderDataModule
from .llamas import LLAMASDataModule
from .official import OfficialCounts
from .openlane import OpenLaneDataModule
from .preprocessing import Preprocessing
from .source import LaneSource
from .synthetic.module import SyntheticLaneDataModule
from .tusimple import TuSimpleDataModule

__all__ = [
    "BDD100KDataModule",
    "CULaneDataModule",
    "CurveLanesDataModule",
    "LLAMASDataModule",
    "LaneAugmentation",
    "LaneBatch",
    "LaneDataModule",
    "LaneFlip",
    "LaneFolderDataModule",
    "LaneSource",
    "OfficialCounts",
    "OpenLaneDataModule",
    "Preprocessing",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
]
