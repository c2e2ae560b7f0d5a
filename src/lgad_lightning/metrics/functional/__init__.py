"""The official lane metrics as functions, for one image or for files."""

from lgad_lightning.metrics.functional.breakdown import Found, add_up, count_found, recall_by_part
from lgad_lightning.metrics.functional.culane import (
    MEAN_THRESHOLDS,
    LaneCounts,
    counts_of_iou,
    culane_counts,
    culane_iou,
    culane_mean_f1,
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
    "MEAN_THRESHOLDS",
    "Found",
    "FrameScores",
    "LaneCounts",
    "TuSimpleResult",
    "add_up",
    "count_found",
    "counts_of_iou",
    "culane_counts",
    "culane_iou",
    "culane_mean_f1",
    "culane_scores",
    "evaluate_tusimple",
    "match_lanes",
    "recall_by_part",
    "tusimple_scores",
]
