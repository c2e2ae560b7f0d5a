from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.channel_wise import ChannelWiseDistillation
from lgad_lightning.callbacks.checkpoint import RunCheckpoint, best_checkpoint
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.callbacks.finite import FiniteLoss
from lgad_lightning.callbacks.fitnets import FitNets
from lgad_lightning.callbacks.inter_region import InterRegionAffinityDistillation
from lgad_lightning.callbacks.joint import JointLabelGuidedAttentionDistillation
from lgad_lightning.callbacks.label_attention import LabelAttention
from lgad_lightning.callbacks.lgad import LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.logits import LogitsDistillation
from lgad_lightning.callbacks.mgd import MaskedGenerativeDistillation
from lgad_lightning.callbacks.pictures import AttentionPictures, draw_batch
from lgad_lightning.callbacks.predictions import LanePredictionWriter
from lgad_lightning.callbacks.sad import SelfAttentionDistillation
from lgad_lightning.callbacks.seeding import SeedEveryBatch
from lgad_lightning.callbacks.similarity import SimilarityPreservingDistillation

__all__ = [
    "AttentionPictures",
    "AttentionTransfer",
    "ChannelWiseDistillation",
    "FeatureDistillation",
    "FiniteLoss",
    "FitNets",
    "InterRegionAffinityDistillation",
    "JointLabelGuidedAttentionDistillation",
    "LabelAttention",
    "LabelGuidedAttentionDistillation",
    "LanePredictionWriter",
    "LogitsDistillation",
    "MaskedGenerativeDistillation",
    "RunCheckpoint",
    "SeedEveryBatch",
    "SelfAttentionDistillation",
    "SimilarityPreservingDistillation",
    "best_checkpoint",
    "draw_batch",
]
