from .callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)
from .data import CULaneDataModule, LaneFolderDataModule, Preprocessing, SyntheticLaneDataModule, TuSimpleDataModule
from .errors import LgadError
from .inference import LanePredictor
from .modules import LaneStudent, LaneTeacher, load_student, load_teacher
from .networks import ENet, ERFNet
from .rebuildable import Rebuildable

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
    "LanePredictor",
    "LaneStudent",
    "LaneTeacher",
    "LgadError",
    "Preprocessing",
    "Rebuildable",
    "SelfAttentionDistillation",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
    "load_student",
    "load_teacher",
]
