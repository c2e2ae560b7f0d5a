from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.checkpoint import RunCheckpoint, best_checkpoint
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.finite import FiniteLoss
from lgad_lightning.callbacks.fitnets import FitNets
from lgad_lightning.callbacks.joint import JointLabelGuidedAttentionDistillation
from lgad_lightning.callbacks.label_attention import LabelAttention
from lgad_lightning.callbacks.lgad import LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.pictures import AttentionPictures, draw_batch
from lgad_lightning.callbacks.predictions import LanePredictionWriter
from lgad_lightning.callbacks.sad import SelfAttentionDistillation
from lgad_lightning.callbacks.seeding import SeedEveryBatch

__all__ = [
    "AttentionPictures",
    "AttentionTransfer",
    "FeatureDistillation",
    "FiniteLoss",
    "FitNets",
    "JointLabelGuidedAttentionDistillation",
    "LabelAttention",
    "LabelGuidedAttentionDistillation",
    "LanePredictionWriter",
    "RunCheckpoint",
    "SeedEveryBatch",
    "SelfAttentionDistillation",
    "best_checkpoint",
    "draw_batch",
]
