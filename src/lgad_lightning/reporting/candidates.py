"""Lanes before any is dropped for its existence: what other limits of it would have come to."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane
from lgad_lightning.longwork.whole_file import whole_file
from lgad_lightning.metrics.functional import match_lanes
from lgad_lightning.reporting.charts import Chart, Series, finite
from lgad_lightning.reporting.judging import Rule

CANDIDATES = "candidates.json"
"""Where they lie, in a run's folder."""
LIMITS = [round(0.05 * step, 2) for step in range(20)]


class Candidate(NamedTuple):
    """A lane that was seen in a test frame.

    Attributes:
        existence: Its probability.
        points: `(x, y)` in pixels of the original image.
    """

    existence: float
    points: Sequence[tuple[float, float]]


def write_candidates(path: Path, frames: Mapping[str, Sequence[Candidate]]) -> None:
    """Writes the candidates of test frames.

    Args:
        path: The file.
        frames: Those of each frame, by its name.
    """
    with whole_file(path) as part:
        part.write_text(json.dumps(frames), encoding="utf-8")


def read_candidates(path: Path) -> dict[str, list[Candidate]]:
    """The candidates of test frames, by their names; none where there is no file.

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
    """Precision and recall of the lanes whose existence is above a limit.

    Args:
        source: The test split.
        frames: The candidates of some of its frames.
        rule: When a lane is found.

    Returns:
        Both by the limit; NaN where there is nothing to take a share of.
    """
    hits, predicted, annotated = np.zeros(len(LIMITS), int), np.zeros(len(LIMITS), int), 0
    for index, name in enumerate(source.names):
        if name not in frames:
            continue
        size = source.image_size(index)
        target = source.checked_lanes(index, size)
        overlap = rule.overlap(target, [Lane(np.array(lane.points), size) for lane in frames[name]])
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
    """Precision and recall over the limit, and over one another; the latter only if both are defined anywhere.

    Args:
        scores: What `precision_recall` gives.
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
