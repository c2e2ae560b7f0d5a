from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.lgad import LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.predictions import LanePredictionWriter
from lgad_lightning.callbacks.seeding import SeedEveryEpoch

__all__ = [
    "AttentionTransfer",
    "FeatureDistillation",
    "LabelGuidedAttentionDistillation",
    "LanePredictionWriter",
    "SeedEveryEpoch",
]
