"""A lane as a model has found it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from lgad_lightning.lanes import Frame, Lane, LaneGrid
from lgad_lightning.lanes.polynomial import smoothed


class FoundLane(Lane):
    """A lane in pixels of the original image, with what the model says of it.

    Args:
        points: `(N, 2)` x and y in pixels, in the rows of the protocol.
        image_size: Height and width of the image in pixels.
        slot: Number of its slot, from 1; also its class.
        name: The slot's name.
        score: Mean probability of its points, 0 to 1.
        existence: Probability that its slot has a lane, None where the network has no head for it.
        track: Its number in a video, the same in all frames; None where lanes are not tracked.
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
        """Score times existence: what to put a threshold on."""
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
        """The lane that `as_record` has written."""
        kept = {key: record[key] for key in ("points", "slot", "name", "score", "existence", "track")}
        return cls(image_size=image_size, **kept)

    def __reduce__(self) -> tuple[Any, ...]:
        kept = (self.points, self.image_size, self.slot, self.name, self.score, self.existence, self.track)
        return FoundLane, kept


def found_lanes(grid: LaneGrid, frames: Sequence[Frame], class_names: Sequence[str]) -> list[list[FoundLane]]:
    """The lanes of each image, in the order of their slots.

    Args:
        grid: What a decoder saw.
        frames: How each input was cut from its image.
        class_names: A name for each class, the background's first.
    """
    return [
        [
            FoundLane(
                [(x, y) for x, y, is_there in zip(grid.x[image, slot], grid.y[image], found, strict=True) if is_there],
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
