"""Decides from the stored predictions of a run which lanes of the test frames it found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.spread import spread
from lgad_lightning.lanes import (
    CULANE_SIZE,
    CULANE_SLOTS,
    TUSIMPLE_ROWS,
    Lane,
    prediction_name,
    read_lines,
    read_tusimple,
    tusimple_row,
)
from lgad_lightning.metrics.functional import (
    MEAN_THRESHOLDS,
    Found,
    add_up,
    count_found,
    culane_iou,
    culane_scores,
    match_lanes,
    recall_by_part,
    tusimple_scores,
)
from lgad_lightning.metrics.functional.culane import IOU_THRESHOLD, LINE_WIDTH
from lgad_lightning.metrics.functional.tusimple import MATCH_THRESHOLD

MOST_FRAMES = 200
"""Largest number of test frames that are judged, evenly spread. So a page is made in seconds."""


@dataclass(frozen=True)
class Rule:
    """When a lane is found.

    Args:
        text: The rule in words.
        overlap: Computes the `(M, N)` overlaps, from 0 to 1, of `M` annotated and `N` predicted lanes. It also gets the
            rows that `compared_rows` returned for their image.
        threshold: A lane is found if its overlap is above it.
        settings: The arguments of `culane_rule` that make this rule. None for `tusimple_rule`.
    """

    text: str
    overlap: Callable[[Sequence[Lane], Sequence[Lane], Sequence[int]], NDArray[np.float64]]
    threshold: float
    settings: Mapping[str, Any] | None = None

    @property
    def of_iou(self) -> bool:
        """Whether overlaps are IoU. For IoU, other thresholds are of interest, too."""
        return self.settings is not None


def culane_rule(
    threshold: float = IOU_THRESHOLD, image_size: tuple[int, int] = CULANE_SIZE, width: int = LINE_WIDTH
) -> Rule:
    """CULane's rule. The arguments are those of `CULaneF1`."""
    text = f"A lane is found if a prediction overlaps it, both {width} px wide, by an IoU above {threshold:g}."
    settings = {"threshold": threshold, "image_size": image_size, "width": width}
    return Rule(text, lambda target, preds, _: culane_iou(preds, target, image_size, width), threshold, settings)


def tusimple_rule() -> Rule:
    """TuSimple's rule."""
    text = f"A lane is found if a prediction is near it in {MATCH_THRESHOLD:.0%} of the rows."
    return Rule(text, _accuracies, np.nextafter(MATCH_THRESHOLD, 0))


def _accuracies(target: Sequence[Lane], preds: Sequence[Lane], rows: Sequence[int]) -> NDArray[np.float64]:
    ours, theirs = ([tusimple_row(lane, rows) for lane in lanes] for lanes in (preds, target))
    values = [[tusimple_scores([pred], [lane], rows).accuracy for pred in ours] for lane in theirs]
    return np.array(values, np.float64).reshape(len(target), len(preds))


@dataclass(frozen=True)
class Judged:
    """A test frame.

    Args:
        index: Its number in the source.
        name: Its name there.
        size: Height and width in pixels.
        target: The annotated lanes.
        preds: The predicted lanes.
        found: For each annotated lane, whether it is found.
        right: For each predicted lane, whether it finds an annotated lane.
        overlaps: The overlaps of the matched pairs.
    """

    index: int
    name: str
    size: tuple[int, int]
    target: Sequence[Lane]
    preds: Sequence[Lane]
    found: Sequence[bool]
    right: Sequence[bool]
    overlaps: Sequence[float]

    @property
    def f1(self) -> float:
        """F1 of this frame alone. 1 if there are no lanes and no predictions."""
        lanes = len(self.target) + len(self.preds)
        return 2 * sum(self.found) / lanes if lanes else 1.0


def judge_frames(source: LaneSource, predictions: Path, rule: Rule) -> list[Judged]:
    """Judges test frames, evenly spread over the split.

    Args:
        source: The test split.
        predictions: The run's folder of predictions.
        rule: When a lane is found.

    Returns:
        At most `MOST_FRAMES`. Frames without a prediction are left out.

    Raises:
        LgadError: If an image, an annotation or a prediction cannot be read.
    """
    stored = read_predictions(predictions)
    return list(_judged(source, spread(len(source), MOST_FRAMES), stored, rule))


def read_predictions(folder: Path) -> Callable[[str, tuple[int, int]], list[Lane] | None]:
    """Reads what a `LanePredictionWriter` wrote.

    Args:
        folder: Its folder.

    Returns:
        A function of an image's name and its size (height and width). It returns the lanes, None if there is no
        prediction.
    """
    if (folder / "predictions.json").is_file():
        frames = {frame.raw_file: frame.lanes for frame in read_tusimple(folder / "predictions.json")}
        return lambda name, size: frames.get(name)

    def read(name: str, size: tuple[int, int]) -> list[Lane] | None:
        path = folder / prediction_name(name)
        return read_lines(path, size) if path.is_file() else None

    return read


def _judged(
    source: LaneSource,
    places: Sequence[int],
    stored: Callable[[str, tuple[int, int]], list[Lane] | None],
    rule: Rule,
) -> Iterator[Judged]:
    for place in places:
        height, width = source.image_size(place)
        preds = stored(source.names[place], (height, width))
        if preds is None:
            continue
        target = target_lanes(source, place, (height, width))
        overlap = rule.overlap(target, preds, compared_rows(source, place, (height, width), rule))
        pairs = match_lanes(overlap)
        hits = [pair for pair in pairs if overlap[pair] > rule.threshold]
        found, right = {row for row, _ in hits}, {column for _, column in hits}
        yield Judged(
            place,
            source.names[place],
            (height, width),
            target,
            preds,
            [row in found for row in range(len(target))],
            [column in right for column in range(len(preds))],
            [float(overlap[pair]) for pair in pairs],
        )


def target_lanes(source: LaneSource, index: int, size: tuple[int, int]) -> list[Lane]:
    """The lanes of an image that the metric compares with. They may be a part of the annotated ones."""
    given = source.evaluation(index, size)
    lanes: list[Lane] = given["target"] if "target" in given else source.checked_lanes(index, size)
    return lanes


def compared_rows(source: LaneSource, index: int, size: tuple[int, int], rule: Rule) -> Sequence[int]:
    """The rows of an image at which TuSimple's rule compares lanes. They are those of its label, if it has any."""
    if rule.of_iou:
        return ()
    rows: Sequence[int] = source.evaluation(index, size).get("h_samples", TUSIMPLE_ROWS)
    return rows


def f1_by_threshold(frames: Sequence[Judged]) -> dict[float, float]:
    """F1 of all frames together at IoU 0.5, 0.55, ..., 0.95."""
    preds, target = sum(len(frame.preds) for frame in frames), sum(len(frame.target) for frame in frames)
    overlaps = np.array([overlap for frame in frames for overlap in frame.overlaps])
    return {
        threshold: float(culane_scores(int((overlaps > threshold).sum()), preds, target)["f1"])
        for threshold in MEAN_THRESHOLDS
    }


def recall_by_place(frames: Sequence[Judged], num_slots: int) -> dict[str, dict[str, dict[str, float]]]:
    """Recall by slot and by rows of the image; see `recall_by_part`.

    Args:
        frames: At least one.
        num_slots: Number of slots of the data. The recall by slot is left out if it is not even.
    """
    even = num_slots % 2 == 0
    slots = num_slots if even else CULANE_SLOTS
    parts: list[Found] = [count_found(frame.preds, frame.target, frame.found, slots) for frame in frames]
    recall = recall_by_part(add_up(parts), frames[0].size[0])
    return recall if even else {"slots": {}, "rows": recall["rows"]}


def choose_frames(frames: Sequence[Judged], count: int = 3) -> dict[str, list[Judged]]:
    """Chooses the best, the typical and the worst of the frames with lanes.

    Args:
        frames: The frames.
        count: Number of frames of each kind. Fewer if there are not enough.

    Returns:
        The frames by their kind. No frame is there twice.
    """
    ranked = sorted((frame for frame in frames if frame.target or frame.preds), key=_merit, reverse=True)
    count = min(count, len(ranked) // 3) if len(ranked) >= 3 else 0
    middle = (len(ranked) - count) // 2
    return {
        "best": ranked[:count],
        "typical": ranked[middle : middle + count],
        "worst": ranked[::-1][: count or len(ranked)],
    }


def _merit(frame: Judged) -> tuple[float, int, float]:
    errors = len(frame.target) + len(frame.preds) - 2 * sum(frame.found)
    return frame.f1, -errors, float(np.mean(frame.overlaps)) if frame.overlaps else 0.0
