"""Tracks the lanes of a video: they keep their numbers, and their columns are smoothed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lgad_lightning.inference.found import FoundLane
from lgad_lightning.lanes import Lane
from lgad_lightning.lanes.polynomial import lies_across

_NEAR = 0.05  # share of the image's width: two lanes with a larger mean distance are not the same
_PATIENCE = 5  # number of frames after which a lane that is not seen is forgotten


@dataclass
class _Track:
    number: int
    lane: FoundLane
    unseen: int = 0


class LaneTracker:
    """Gives the lanes of successive frames constant numbers, and smooths their columns.

    A lane is the same as the nearest lane of the frame before if their mean distance is at most a twentieth of the
    width. The mean is over the rows that both have. In these rows, the column is smoothed exponentially. Rows, slot and
    scores are those of the new frame. A lane that is unseen for more than five frames is forgotten.

    Args:
        weight: Weight of the new frame, above 0 and at most 1. 1: no smoothing.

    Example:
        >>> tracker = LaneTracker(weight=0.5)
        >>> for x in (10, 14):
        ...     [lane] = tracker.update([FoundLane([[x, 90], [x, 80]], (100, 200), 1, "left", 0.9)])
        >>> lane.track, lane.points.tolist()
        (0, [[12.0, 90.0], [12.0, 80.0]])
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = weight
        self._tracks: list[_Track] = []
        self._next = 0

    def update(self, lanes: Sequence[FoundLane]) -> list[FoundLane]:
        """Numbers and smooths the lanes of the next frame.

        Args:
            lanes: The lanes that were found in it.
        """
        matches = self._match(lanes)
        for track in self._tracks:
            track.unseen += 1
        result = []
        for index, lane in enumerate(lanes):
            if index in matches:
                track = matches[index]
                track.lane = lane.moved(self._steadied(lane, track.lane), track.number)
                track.unseen = 0
            else:
                track = _Track(self._next, lane.moved(lane.points, self._next))
                self._tracks.append(track)
                self._next += 1
            result.append(track.lane)
        self._tracks = [track for track in self._tracks if track.unseen <= _PATIENCE]
        return result

    def recall(self, lanes: Sequence[FoundLane]) -> None:
        """Continues as if `update` had just returned these lanes.

        Args:
            lanes: The lanes that `update` returned for a frame in an earlier run.
        """
        known = {track.number: track for track in self._tracks}
        for track in self._tracks:
            track.unseen += 1
        for lane in lanes:
            if lane.track is not None:
                known[lane.track] = _Track(lane.track, lane)
                self._next = max(self._next, lane.track + 1)
        self._tracks = [track for track in known.values() if track.unseen <= _PATIENCE]

    def _match(self, lanes: Sequence[FoundLane]) -> dict[int, _Track]:
        """Finds the track of each lane that has one, by the index of the lane."""
        if not lanes or not self._tracks:
            return {}
        distances = np.array([[_distance(lane, track.lane) for track in self._tracks] for lane in lanes])
        # What is too far weighs little more than the farthest match, so that no lane gives way for it. Of two ways to
        # match, the one with the nearer pair is taken: squares.
        pairs = zip(*linear_sum_assignment(np.minimum(distances, 1.01 * _NEAR) ** 2), strict=True)
        return {int(row): self._tracks[column] for row, column in pairs if distances[row, column] <= _NEAR}

    def _steadied(self, lane: FoundLane, before: Lane) -> NDArray[np.float64]:
        if lies_across(lane):
            return lane.points  # it has no single column in a row
        x, y = lane.points.T
        earlier = before.x_at(y)
        steady = np.where(np.isnan(earlier), x, self.weight * x + (1 - self.weight) * earlier)
        return np.column_stack([steady, y])


def _distance(lane: Lane, other: Lane) -> float:
    """Mean distance in x over the rows that both have, as a share of the width; infinite if they share none."""
    gap = np.abs(lane.points[:, 0] - other.x_at(lane.points[:, 1]))
    shared = np.isfinite(gap)
    return float(gap[shared].mean()) / lane.image_size[1] if shared.any() else np.inf
