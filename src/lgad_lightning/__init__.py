"""Label-guided Attention Distillation (LGAD) for lane segmentation, as a PyTorch Lightning plugin."""

from lgad_lightning.callbacks import LabelGuidedAttentionDistillation
from lgad_lightning.data import CULaneDataModule, SyntheticLaneDataModule, TuSimpleDataModule
from lgad_lightning.modules import LaneStudent, LaneTeacher, load_teacher

__all__ = [
    "CULaneDataModule",
    "LabelGuidedAttentionDistillation",
    "LaneStudent",
    "LaneTeacher",
    "SyntheticLaneDataModule",
    "TuSimpleDataModule",
    "load_teacher",
]
