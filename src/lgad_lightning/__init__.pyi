from .callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)
from .data import CULaneDataModule, LaneFolderDataModule, SyntheticLaneDataModule, TuSimpleDataModule
from .errors import LgadError
from .modules import LaneStudent, LaneTeacher, load_teacher
from .networks import ENet, ERFNet

__version__: str

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
