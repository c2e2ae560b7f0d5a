"""The official lane metrics as functions of one image or of files."""

from lgad_lightning.metrics.functional.culane import (
    ImageCounts,
    Scores,
    culane_counts,
    culane_iou,
    culane_scores,
    match_lanes,
)
from lgad_lightning.metrics.functional.tusimple import (
    FrameScores,
    TuSimpleResult,
    evaluate_tusimple,
    tusimple_scores,
)

__all__ = [
    "FrameScores",
    "ImageCounts",
    "Scores",
    "TuSimpleResult",
    "culane_counts",
    "culane_iou",
    "culane_scores",
    "evaluate_tusimple",
    "match_lanes",
    "tusimple_scores",
]
