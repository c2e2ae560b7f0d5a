"""Lanes that a model found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lgad_lightning.lanes import Frame, GridDecoder, Lane, LaneGrid, MaskDecoder
from lgad_lightning.lanes.polynomial import smoothed

if TYPE_CHECKING:
    from torch import Tensor


class FoundLane(Lane):
    """A lane that a model found, in pixels of the original image, with its slot and its scores.

    Args:
        points: `(N, 2)` x and y in pixels, in the rows of the protocol.
        image_size: Height and width of the image in pixels.
        slot: Number of its slot, from 1. It is also its class.
        name: The slot's name.
        score: Mean probability of its points, 0 to 1.
        existence: Probability that its slot has a lane. None if the network has no head for it.
        track: Its number in a video, the same in all frames. None if lanes are not tracked.
    """

    __slots__ = ("existence", "name", "score", "slot", "track")

    def __init__(
        self,
        points: ArrayLike,
        image_size: tuple[int, int],
        slot: int,
        name: str,
        score: float,
        existence: float | None = None,
        track: int | None = None,
    ) -> None:
        super().__init__(points, image_size)
        self.slot = slot
        self.name = name
        self.score = score
        self.existence = existence
        self.track = track

    @property
    def confidence(self) -> float:
        """Score times existence (the score alone if there is no existence). Use it for thresholds."""
        return self.score if self.existence is None else self.score * self.existence

    def smooth(self, rows: ArrayLike | None = None, degree: int = 3) -> Lane:
        """A smooth curve through the points; see `lgad_lightning.lanes.smoothed`."""
        return smoothed(self, rows, degree)

    def moved(self, points: ArrayLike, track: int | None) -> FoundLane:
        """The same lane with other points and another track."""
        return FoundLane(points, self.image_size, self.slot, self.name, self.score, self.existence, track)

    def as_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "slot": self.slot,
            "name": self.name,
            "score": round(self.score, 4),
            "existence": None if self.existence is None else round(self.existence, 4),
            "confidence": round(self.confidence, 4),
            "track": self.track,
            "points": self.points.tolist(),
        }

    @classmethod
    def of_record(cls, record: dict[str, Any], image_size: tuple[int, int]) -> FoundLane:
        """Builds a lane from the record that `as_record` returned."""
        kept = {key: record[key] for key in ("points", "slot", "name", "score", "existence", "track")}
        return cls(image_size=image_size, **kept)

    def __reduce__(self) -> tuple[Any, ...]:
        kept = (self.points, self.image_size, self.slot, self.name, self.score, self.existence, self.track)
        return FoundLane, kept


class Seen(NamedTuple):
    """What a model found in a batch of images.

    Attributes:
        lanes: The lanes of each image.
        existence: `(B, L)` probability of each slot. None if the network has no head for it.
    """

    lanes: list[list[FoundLane]]
    existence: NDArray[Any] | None


def seen(
    decoder: GridDecoder | MaskDecoder,
    probabilities: Tensor,
    existence: Tensor | None,
    frames: Sequence[Frame],
    class_names: Sequence[str],
) -> Seen:
    """Decodes the outputs of a network.

    Args:
        decoder: The decoder of the student.
        probabilities: `(B, K, H, W)` class probabilities, class 0 the background.
        existence: `(B, K - 1)` probability of each lane, or None.
        frames: How each input was cut from its image.
        class_names: A name for each class, the background's first.
    """
    if isinstance(decoder, GridDecoder):
        return seen_in_grid(decoder.grid(probabilities, existence, frames), frames, class_names)
    maps = (1 - probabilities[:, 0]).cpu().numpy()
    lanes = [
        [
            FoundLane(lane.points, lane.image_size, 1, class_names[1], _mean_probability(lane, frame, lane_map))
            for lane in of_image
        ]
        for of_image, frame, lane_map in zip(decoder(probabilities, existence, frames), frames, maps, strict=True)
    ]
    return Seen(lanes, None if existence is None else existence.cpu().numpy())


def _mean_probability(lane: Lane, frame: Frame, lane_map: NDArray[Any]) -> float:
    """Mean of the map `(H, W)` at the points of a lane."""
    height, width = lane_map.shape
    x = (lane.points[:, 0] + 0.5) * width / frame.width - 0.5
    y = (lane.points[:, 1] - frame.crop_top + 0.5) * height / (frame.height - frame.crop_top) - 0.5
    rows, columns = (np.rint(values).astype(int).clip(0, most - 1) for values, most in ((y, height), (x, width)))
    return float(lane_map[rows, columns].mean())


def seen_in_grid(grid: LaneGrid, frames: Sequence[Frame], class_names: Sequence[str]) -> Seen:
    """The lanes of each image, in the order of their slots.

    Args:
        grid: The grid of a decoder.
        frames: How each input was cut from its image.
        class_names: A name for each class, the background's first.
    """
    lanes = [
        [
            FoundLane(
                np.column_stack([grid.x[image, slot][found], grid.y[image][found]]),
                (frame.height, frame.width),
                slot + 1,
                class_names[slot + 1],
                float(grid.score[image, slot][found].mean()),
                None if grid.existence is None else float(grid.existence[image, slot]),
            )
            for slot, found in enumerate(grid.found[image])
            if found.any()
        ]
        for image, frame in enumerate(frames)
    ]
    return Seen(lanes, grid.existence)
