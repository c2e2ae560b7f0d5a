"""The official TuSimple metric."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import TUSIMPLE_SIZE, TUSIMPLE_SLOTS, Lane
from lgad_lightning.lanes.json_lines import read_json_lines
from lgad_lightning.metrics.functional.breakdown import Found, add_up, count_found

PIXEL_THRESHOLD = 20.0
MATCH_THRESHOLD = 0.85
MAX_RUN_TIME = 200
_ABSENT = -100.0


class FrameScores(NamedTuple):
    """The figures of the benchmark for one image, or their means over images.

    Attributes:
        accuracy: For each annotated lane, the share of rows in which its best prediction is right; the mean over lanes.
        fp: Share of predicted lanes without a match. It is below 0 if one prediction matches several annotated lanes.
        fn: Share of annotated lanes that no prediction matches.
    """

    accuracy: float
    fp: float
    fn: float


def tusimple_scores(
    preds: Sequence[Sequence[float]],
    target: Sequence[Sequence[float]],
    h_samples: Sequence[float],
    run_time: float = 0.0,
) -> FrameScores:
    """Computes accuracy, FP and FN of one image.

    Args:
        preds: Predicted lanes: x in each row of `h_samples`, below 0 or NaN where the lane has no point.
        target: Annotated lanes, in the same form.
        h_samples: The rows of the image.
        run_time: Milliseconds that the prediction took. Above 200, the image counts as not predicted.

    Raises:
        ValueError: If a lane and `h_samples` have different lengths.

    Example:
        >>> tusimple_scores([[10, 60, -2]], [[10, 12, -2]], h_samples=[300, 310, 320])
        FrameScores(accuracy=0.6666666666666666, fp=1.0, fn=1.0)
    """
    if any(len(lane) != len(h_samples) for lane in preds):
        raise ValueError("Format of lanes error.")
    if run_time > MAX_RUN_TIME or len(preds) > len(target) + 2:
        return FrameScores(0.0, 0.0, 1.0)
    if any(len(lane) != len(h_samples) for lane in target):
        raise ValueError("Format of lanes error.")

    rows = np.asarray(h_samples, dtype=np.float64)
    predicted = _with_absent(preds, len(rows))
    accuracies = [_best_accuracy(predicted, lane, rows) for lane in _with_absent(target, len(rows))]
    missed = sum(accuracy < MATCH_THRESHOLD for accuracy in accuracies)
    matched = len(target) - missed
    total = 0.0
    for accuracy in accuracies:  # one by one, as in the official tool; `sum` rounds differently since Python 3.12
        total += accuracy
    if len(target) > 4:  # the benchmark counts four lanes and ignores the worst of five
        missed = max(missed - 1, 0)
        total -= min(accuracies)
    counted = max(min(len(target), 4), 1)
    return FrameScores(total / counted, (len(preds) - matched) / len(preds) if preds else 0.0, missed / counted)


def _with_absent(lanes: Sequence[Sequence[float]], num_rows: int) -> NDArray[np.float64]:
    values = [[x if x >= 0 else _ABSENT for x in lane] for lane in lanes]
    return np.array(values, dtype=np.float64).reshape(len(lanes), num_rows)


def _best_accuracy(predicted: NDArray[np.float64], lane: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The largest share of rows in which a prediction is near an annotated lane. If both are absent, they are near."""
    if not len(predicted):
        return 0.0
    if not len(rows):
        return float("nan")
    near = np.abs(predicted - lane) < _pixel_threshold(lane, rows)
    return float(near.sum(axis=1).max() / len(rows))


def _pixel_threshold(lane: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The largest distance in x: 20 px, measured at a right angle to the straight line through the lane."""
    present = lane >= 0
    if present.sum() < 2:
        return PIXEL_THRESHOLD
    x, y = lane[present], rows[present]
    y = y - y.mean()
    slope = (y @ (x - x.mean())) / (y @ y)
    return float(PIXEL_THRESHOLD / np.cos(np.arctan(slope)))  # 20 * sqrt(1 + slope^2) rounds differently


class TuSimpleResult(NamedTuple):
    """The figures of the benchmark for a file of predictions.

    Attributes:
        total: Sums over the predictions, divided by the number of labels.
        images: Figures of each prediction, in the order of the file.
        too_slow: Number of predictions that count as empty because their `run_time` is above 200 ms.
        too_many: Number of predictions that count as empty because they have over two lanes more than the label.
        found: Counts by slot and by distance, if `breakdown` was set.
    """

    total: FrameScores
    images: list[tuple[str, FrameScores]]
    too_slow: int = 0
    too_many: int = 0
    found: Found | None = None


def evaluate_tusimple(
    pred: str | Path, gt: str | Path, breakdown: bool = False, image_size: tuple[int, int] = TUSIMPLE_SIZE
) -> TuSimpleResult:
    """Evaluates a TuSimple prediction file as the official `lane.py` does.

    Args:
        pred: Predictions: JSON lines with `raw_file`, `lanes` and `run_time` (milliseconds).
        gt: Labels: JSON lines with `raw_file`, `lanes` and `h_samples`.
        breakdown: Whether to count also by slot and by distance. These counts ignore the run time.
        image_size: Height and width of the images in pixels. Only these counts depend on it.

    Raises:
        LgadError: If the official tool raises an error. The message adds the file and the line.

    Example:
        >>> import tempfile
        >>> line = '{"raw_file": "1.jpg", "h_samples": [300, 310], "lanes": [[600, 590]], "run_time": 10}'
        >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ...     _ = file.write(line), file.flush()
        ...     evaluate_tusimple(file.name, file.name).total.accuracy
        1.0
    """
    try:
        predictions = read_json_lines(pred, strict=True)
    except LgadError as error:
        raise LgadError(f"{error}. Fail to load json file of the prediction.") from error
    try:
        records = read_json_lines(gt, strict=True)
    except LgadError as error:
        raise LgadError(f"{error}. Expected object or value") from error
    if len(predictions) != len(records):
        raise LgadError(
            f"{pred}: {len(predictions)} lines, but {gt} has {len(records)}. "
            "We do not get the predictions of all the test tasks"
        )
    if not records:
        raise LgadError(f"{gt}: no labels, the mean over them is a float division by zero")
    labels = {str(_label(record, "raw_file", gt, number)): (record, number) for number, record in enumerate(records, 1)}

    images = []
    too_slow = too_many = 0
    parts: list[Found] = []
    for number, prediction in enumerate(predictions, start=1):
        where = f"{pred}:{number}"
        if not isinstance(prediction, dict) or not {"raw_file", "lanes", "run_time"} <= prediction.keys():
            raise LgadError(f"{where}: raw_file or lanes or run_time not in some predictions.")
        name = prediction["raw_file"]
        if not isinstance(name, str) or name not in labels:
            raise LgadError(
                f"{where}: {name!r} is not in {gt}. Some raw_file from your predictions do not exist in the test tasks."
            )
        label, label_number = labels[name]
        target = _label(label, "lanes", gt, label_number)
        h_samples = _label(label, "h_samples", gt, label_number)
        try:
            scores = tusimple_scores(prediction["lanes"], target, h_samples, prediction["run_time"])
            if breakdown:
                parts.append(_found(prediction["lanes"], target, h_samples, image_size))
        except (TypeError, ValueError, OverflowError) as error:
            raise LgadError(
                f"{where}: each lane must be a list of as many numbers as the h_samples of {gt}:{label_number}, "
                "and run_time a number. Format of lanes error."
            ) from error
        images.append((name, scores))
        too_slow += prediction["run_time"] > MAX_RUN_TIME
        too_many += len(prediction["lanes"]) > len(target) + 2

    sums = np.cumsum([scores for _, scores in images], axis=0)[-1]  # adds one by one, as in the official tool
    found = add_up(parts) if parts else None
    return TuSimpleResult(FrameScores(*(sums / len(labels)).tolist()), images, too_slow, too_many, found)


def _found(
    preds: Sequence[Sequence[float]],
    target: Sequence[Sequence[float]],
    h_samples: Sequence[float],
    image_size: tuple[int, int],
) -> Found:
    rows = np.asarray(h_samples, dtype=np.float64)
    predicted = _with_absent(preds, len(rows))
    matched = [_best_accuracy(predicted, lane, rows) >= MATCH_THRESHOLD for lane in _with_absent(target, len(rows))]
    found, annotated = (
        [Lane([(x, y) for x, y in zip(lane, h_samples, strict=True) if x >= 0], image_size) for lane in lanes]
        for lanes in (preds, target)
    )
    return count_found(found, annotated, matched, TUSIMPLE_SLOTS)


def _label(record: Any, key: str, path: str | Path, number: int) -> Any:
    if not isinstance(record, dict) or key not in record:
        raise LgadError(f"{path}:{number}: {key!r} is missing from the label")
    return record[key]
