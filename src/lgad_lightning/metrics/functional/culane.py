"""The official CULane metric: IoU of drawn lanes, matching, counts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.lanes import CULANE_SIZE, Lane, Patch, draw_lane

LINE_WIDTH = 30
IOU_THRESHOLD = 0.5
MEAN_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
_TOLERANCE = 1e-2  # for the official matching, sums of IoU are equal if they differ by less


class LaneCounts(NamedTuple):
    """The counts of the CULane metric, for one image or for several.

    Attributes:
        tp: Matched pairs of lanes at each IoU threshold.
        num_preds: Number of predicted lanes.
        num_target: Number of annotated lanes.
    """

    tp: tuple[int, ...]
    num_preds: int
    num_target: int


def culane_iou(
    preds: Sequence[Lane],
    target: Sequence[Lane],
    image_size: tuple[int, int] = CULANE_SIZE,
    width: int = LINE_WIDTH,
) -> NDArray[np.float64]:
    """Computes the IoU of every annotated lane with every predicted lane. Each lane is drawn as a thick line.

    Args:
        preds: Predicted lanes.
        target: Annotated lanes.
        image_size: Height and width in pixels of the canvas; lanes of other images are scaled to it.
        width: Thickness of the lines in pixels.

    Returns:
        `(len(target), len(preds))`. It is 0 for lanes with fewer than two points, and NaN for two lanes that are both
        outside of the image.

    Example:
        >>> lane, shifted = Lane([[800, 600], [800, 100]], CULANE_SIZE), Lane([[810, 600], [810, 100]], CULANE_SIZE)
        >>> culane_iou([lane, shifted], [lane]).round(4).tolist()
        [[1.0, 0.5099]]
    """
    drawn_preds = [_draw(lane, image_size, width) for lane in preds]
    drawn_target = [_draw(lane, image_size, width) for lane in target]
    iou = np.zeros((len(target), len(preds)))
    for i, one in enumerate(drawn_target):
        for j, other in enumerate(drawn_preds):
            if one is not None and other is not None:
                iou[i, j] = _patch_iou(one, other)
    return iou


class _Drawn(NamedTuple):
    patch: Patch
    area: int


def _draw(lane: Lane, image_size: tuple[int, int], width: int) -> _Drawn | None:
    if len(lane) < 2:
        return None
    patch = draw_lane(lane.scaled(image_size).points, image_size, width)
    return _Drawn(patch, cv2.countNonZero(patch.mask) if patch.mask.size else 0)


def _patch_iou(one: _Drawn, other: _Drawn) -> float:
    (top, left, mask), (other_top, other_left, other_mask) = one.patch, other.patch
    low, high = max(top, other_top), min(top + mask.shape[0], other_top + other_mask.shape[0])
    start, stop = max(left, other_left), min(left + mask.shape[1], other_left + other_mask.shape[1])
    shared = 0
    if low < high and start < stop:
        box = mask[low - top : high - top, start - left : stop - left]
        other_box = other_mask[low - other_top : high - other_top, start - other_left : stop - other_left]
        shared = cv2.countNonZero(cv2.bitwise_and(box, other_box))
    union = one.area + other.area - shared
    return shared / union if union else float("nan")


def match_lanes(iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Matches lanes as the official evaluator does: by the method of Kuhn and Munkres, with a tolerance.

    Because of the tolerance of 0.01, a pair that is slightly worse than the best may be chosen, and a NaN can end the
    search early. The official counts depend on both, so a standard assignment does not reproduce them.

    Args:
        iou: `(M, N)` IoU of annotated with predicted lanes.

    Returns:
        Pairs of row and column, at most min(M, N).

    Example:
        >>> match_lanes(np.array([[0.1, 0.9], [0.8, 0.7]]))
        [(0, 1), (1, 0)]
    """
    if not iou.size:
        return []
    if iou.shape[0] > iou.shape[1]:
        return sorted((row, column) for column, row in match_lanes(iou.T))
    weights = iou.tolist()
    left = [max((w for w in row if w == w), default=-1e5) for row in weights]
    right = [0.0] * iou.shape[1]
    partner: list[int | None] = [None] * iou.shape[1]  # the row of each column

    def augment(row: int, seen_rows: set[int], seen_columns: set[int]) -> bool:
        seen_rows.add(row)
        for column, weight in enumerate(weights[row]):
            if column not in seen_columns and abs(left[row] + right[column] - weight) < _TOLERANCE:
                seen_columns.add(column)
                current = partner[column]
                if current is None or augment(current, seen_rows, seen_columns):
                    partner[column] = row
                    return True
        return False

    for row in range(iou.shape[0]):
        while True:
            rows: set[int] = set()
            columns: set[int] = set()
            if augment(row, rows, columns):
                break
            slacks = [left[i] + right[j] - weights[i][j] for i in rows for j in range(iou.shape[1]) if j not in columns]
            slack = min((s for s in slacks if s == s), default=None)
            if slack is None:
                return _pairs(partner)
            for i in rows:
                left[i] -= slack
            for j in columns:
                right[j] += slack
    return _pairs(partner)


def _pairs(partner: list[int | None]) -> list[tuple[int, int]]:
    return sorted((row, column) for column, row in enumerate(partner) if row is not None)


def culane_counts(
    preds: Sequence[Lane],
    target: Sequence[Lane],
    thresholds: Sequence[float] = (IOU_THRESHOLD,),
    image_size: tuple[int, int] = CULANE_SIZE,
    width: int = LINE_WIDTH,
) -> LaneCounts:
    """Counts the found lanes of one image at each IoU threshold.

    Args:
        preds: Predicted lanes.
        target: Annotated lanes.
        thresholds: A matched pair is a true positive if its IoU is above the threshold.
        image_size: Height and width in pixels of the canvas; lanes of other images are scaled to it.
        width: Thickness of the lines in pixels.

    Example:
        >>> lane = Lane([[800, 600], [800, 100]], CULANE_SIZE)
        >>> culane_counts([lane, lane], [lane], thresholds=[0.5, 0.75])
        LaneCounts(tp=(1, 1), num_preds=2, num_target=1)
    """
    return counts_of_iou(culane_iou(preds, target, image_size, width), thresholds)


def counts_of_iou(iou: NDArray[np.float64], thresholds: Sequence[float] = (IOU_THRESHOLD,)) -> LaneCounts:
    """Counts the found lanes of one image at each IoU threshold.

    Args:
        iou: What `culane_iou` returned.
        thresholds: See `culane_counts`.

    Example:
        >>> counts_of_iou(np.array([[0.9, 0.6]]))
        LaneCounts(tp=(1,), num_preds=2, num_target=1)
    """
    matched = [iou[pair] for pair in match_lanes(iou)]
    return LaneCounts(tuple(sum(bool(m > t) for m in matched) for t in thresholds), iou.shape[1], iou.shape[0])


def culane_scores(tp: int, num_preds: int, num_target: int) -> dict[str, Any]:
    """Computes precision, recall and F1 from counts that were summed over images.

    Args:
        tp: True positives.
        num_preds: Number of predicted lanes.
        num_target: Number of annotated lanes.

    Returns:
        The figures as the official evaluator prints them: precision or recall is -1 if its denominator is 0. If both
        are 0, F1 is 0 here, where the official evaluator prints "nan".

    Example:
        >>> culane_scores(tp=3, num_preds=4, num_target=6)
        {'tp': 3, 'fp': 1, 'fn': 3, 'precision': 0.75, 'recall': 0.5, 'f1': 0.6}
    """
    precision = tp / num_preds if num_preds else -1.0
    recall = tp / num_target if num_target else -1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "tp": tp,
        "fp": num_preds - tp,
        "fn": num_target - tp,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def culane_mean_f1(tp: Sequence[int], num_preds: int, num_target: int, thresholds: Sequence[float]) -> dict[str, float]:
    """Computes F1 at several IoU thresholds, and the mean, as in newer papers. Not part of the official protocol.

    Args:
        tp: True positives at each threshold.
        num_preds: Number of predicted lanes.
        num_target: Number of annotated lanes.
        thresholds: IoU thresholds, usually `MEAN_THRESHOLDS`: 0.5, 0.55, ..., 0.95.

    Example:
        >>> culane_mean_f1([8, 4], num_preds=10, num_target=10, thresholds=[0.5, 0.75])
        {'f1_50': 0.8000000000000002, 'f1_75': 0.4000000000000001, 'mean_f1': 0.6000000000000001}
    """
    f1 = [float(culane_scores(each, num_preds, num_target)["f1"]) for each in tp]
    keys = [f"f1_{100 * threshold:g}" for threshold in thresholds]
    return dict(zip(keys, f1, strict=True)) | {"mean_f1": sum(f1) / len(f1)}
