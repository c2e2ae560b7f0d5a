from .callbacks import (
    AttentionTransfer,
    ChannelWiseDistillation,
    FeatureDistillation,
    FitNets,
    InterRegionAffinityDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    LogitsDistillation,
    MaskedGenerativeDistillation,
    SelfAttentionDistillation,
    SimilarityPreservingDistillation,
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
    "ChannelWiseDistillation",
    "CurveLanesDataModule",
    "ENet",
    "ERFNet",
    "FeatureDistillation",
    "FitNets",
    "InterRegionAffinityDistillation",
    "JointLabelGuidedAttentionDistillation",
    "LLAMASDataModule",
    "LabelAttention",
    "LabelGuidedAttentionDistillation",
    "LaneFolderDataModule",
    "LanePredictor",
    "LaneStudent",
    "LaneTeacher",
    "LgadError",
    "LogitsDistillation",
    "MaskedGenerativeDistillation",
    "OpenLaneDataModule",
    "Preprocessing",
    "Rebuildable",
    "SelfAttentionDistillation",
    "SimilarityPreservingDistillation",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
    "load_student",
    "load_teacher",
]
