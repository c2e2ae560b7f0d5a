"""Lanes before any is dropped for its existence. They show what other limits of the existence would give."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.longwork.whole_file import write_whole
from lgad_lightning.metrics.functional import match_lanes
from lgad_lightning.reporting.charts import Chart, Series, finite
from lgad_lightning.reporting.judging import Rule, compared_rows, target_lanes

CANDIDATES = "candidates.json"
"""Their file in a run's folder."""
LIMITS = [round(0.05 * step, 2) for step in range(20)]


class Candidate(NamedTuple):
    """A lane that was found in a test frame.

    Attributes:
        existence: The probability that it exists.
        points: `(x, y)` in pixels of the original image.
    """

    existence: float
    points: Sequence[tuple[float, float]]


def write_candidates(path: Path, frames: Mapping[str, Sequence[Candidate]]) -> None:
    """Writes the candidates of test frames.

    Args:
        path: The file.
        frames: The candidates of each frame, by its name.
    """
    write_whole(path, json.dumps(frames))


def read_candidates(path: Path) -> dict[str, list[Candidate]]:
    """Reads the candidates of test frames, by the names of the frames. Empty if there is no file.

    Args:
        path: The file.

    Raises:
        LgadError: If it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: [
                Candidate(float(existence), [(float(x), float(y)) for x, y in points]) for existence, points in lanes
            ]
            for name, lanes in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LgadError(f"{path} is damaged: {error}.") from error


def precision_recall(
    source: LaneSource, frames: Mapping[str, Sequence[Candidate]], rule: Rule
) -> dict[float, tuple[float, float]]:
    """Computes precision and recall of the lanes with an existence above a limit, for each of `LIMITS`.

    Args:
        source: The test split.
        frames: The candidates of some of its frames.
        rule: When a lane is found.

    Returns:
        Precision and recall by the limit. NaN if there are no lanes to take a share of.
    """
    hits, predicted, annotated = np.zeros(len(LIMITS), int), np.zeros(len(LIMITS), int), 0
    for index, name in enumerate(source.names):
        if name not in frames:
            continue
        size = source.image_size(index)
        target = target_lanes(source, index, size)
        preds = [Lane(np.array(lane.points), size) for lane in frames[name]]
        overlap = rule.overlap(target, preds, compared_rows(source, index, size, rule))
        existence = np.array([lane.existence for lane in frames[name]])
        annotated += len(target)
        for number, limit in enumerate(LIMITS):
            kept = overlap[:, existence > limit]
            predicted[number] += kept.shape[1]
            hits[number] += sum(kept[pair] > rule.threshold for pair in match_lanes(kept))
    return {
        limit: (_share(found, lanes), _share(found, annotated))
        for limit, found, lanes in zip(LIMITS, hits.tolist(), predicted.tolist(), strict=True)
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def existence_charts(scores: Mapping[float, tuple[float, float]]) -> list[Chart]:
    """Charts precision and recall over the limit. If both are defined anywhere, also charts precision over recall.

    Args:
        scores: What `precision_recall` returned.
    """
    precision, recall = ([finite(score[place]) for score in scores.values()] for place in (0, 1))
    pairs = [(r, p) for p, r in zip(precision, recall, strict=True) if p is not None and r is not None]
    limits = list(scores)
    by_limit = [Series("precision", limits, precision), Series("recall", limits, recall)]
    ordered = sorted(pairs)
    over = Series("precision", [r for r, _ in ordered], [p for _, p in ordered])
    charts = [Chart("Precision and recall by existence", by_limit, x_title="existence above", from_zero=True)]
    if pairs:
        charts.append(Chart("Precision over recall", [over], x_title="recall", from_zero=True))
    return charts
