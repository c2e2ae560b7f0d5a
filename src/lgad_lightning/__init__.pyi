from .callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)
from .data import (
    BDD100KDataModule,
    CULaneDataModule,
    CurveLanesDataModule,
    LaneFolderDataModule,
    LLAMASDataModule,
    OpenLaneDataModule,
    Preprocessing,
    SyntheticLaneDataModule,
    TuSimpleDataModule,
)
from .errors import LgadError
from .inference import LanePredictor
from .modules import LaneStudent, LaneTeacher, load_student, load_teacher
from .networks import ENet, ERFNet
from .rebuildable import Rebuildable

__version__: str

__all__ = [
    "AttentionTransfer",
    "BDD100KDataModule",
    "CULaneDataModule",
    "CurveLanesDataModule",
    "ENet",
    "ERFNet",
    "FeatureDistillation",
    "JointLabelGuidedAttentionDistillation",
    "LLAMASDataModule",
    "LabelAttention",
    "LabelGuidedAttentionDistillation",
    "LaneFolderDataModule",
    "LanePredictor",
    "LaneStudent",
    "LaneTeacher",
    "LgadError",
    "OpenLaneDataModule",
    "Preprocessing",
    "Rebuildable",
    "SelfAttentionDistillation",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
    "load_student",
    "load_teacher",
]
