"""Label-guided Attention Distillation (LGAD) for lane segmentation, as a PyTorch Lightning plugin."""

from importlib.metadata import version as _version

from lgad_lightning.callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)
from lgad_lightning.data import CULaneDataModule, LaneFolderDataModule, SyntheticLaneDataModule, TuSimpleDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.modules import LaneStudent, LaneTeacher, load_teacher
from lgad_lightning.networks import ENet, ERFNet

__version__ = _version("lgad-lightning")

__all__ = [
    "AttentionTransfer",
    "CULaneDataModule",
    "ENet",
    "ERFNet",
    "FeatureDistillation",
    "JointLabelGuidedAttentionDistillation",
    "LabelAttention",
    "LabelGuidedAttentionDistillation",
    "LaneFolderDataModule",
    "LaneStudent",
    "LaneTeacher",
    "LgadError",
    "SelfAttentionDistillation",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
    "load_teacher",
]
