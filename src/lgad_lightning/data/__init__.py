"""Images with lane labels: data sets, augmentation, the batches that teacher and student are given."""

from lgad_lightning.data.augment import LaneAugmentation, LaneFlip
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.culane import CULaneDataModule
from lgad_lightning.data.dataset import LaneBatch
from lgad_lightning.data.folder import LaneFolderDataModule
from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.synthetic import SyntheticLaneDataModule
from lgad_lightning.data.tusimple import TuSimpleDataModule

__all__ = [
    "CULaneDataModule",
    "LaneAugmentation",
    "LaneBatch",
    "LaneDataModule",
    "LaneFlip",
    "LaneFolderDataModule",
    "LaneSource",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
]
