"""Predicts lanes on frames in batches. The next frames are read in advance."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.inference.engine import Engine
from lgad_lightning.inference.found import FoundLane
from lgad_lightning.inference.sources import Shot
from lgad_lightning.lanes import Frame
from lgad_lightning.longwork.read_ahead import read_ahead


class Clock:
    """Seconds that each phase was busy. The phases overlap, so the whole takes less than their sum."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time of the block for a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Predicted(NamedTuple):
    """A frame with its lanes.

    Attributes:
        shot: The frame.
        lanes: Its lanes. Empty if it cannot be read.
        existence: Probability of each slot. None if it is not known.
        run_time: Milliseconds of network and decoder: its share of the time of the batch. None if it was predicted
            before.
        error: Why there is no prediction; empty if there is.
    """

    shot: Shot
    lanes: Sequence[FoundLane]
    existence: list[float] | None = None
    run_time: float | None = None
    error: str = ""


class _Ready(NamedTuple):
    shot: Shot
    pixels: NDArray[np.uint8] | None
    frame: Frame | None
    error: str


def predict_shots(
    engine: Engine,
    shots: Iterable[Shot],
    batch_size: int,
    done: Mapping[str, Sequence[FoundLane]] | None = None,
    clock: Clock | None = None,
) -> Iterator[Predicted]:
    """Predicts lanes on frames, in their order. A thread reads and resizes the next frames.

    Args:
        engine: The network.
        shots: The frames.
        batch_size: Frames that the network sees at once, unless it takes a fixed number.
        done: The lanes of frames that were predicted before, by name.
        clock: Measures the time of the phases `read` and `network`.
    """
    clock, done, size = clock or Clock(), done or {}, engine.batch or batch_size
    batch: list[_Ready] = []
    for ready in read_ahead(_prepare(engine, shots, done, clock), depth=2 * size):
        batch.append(ready)
        if len(batch) == size:
            yield from _predict(engine, batch, done, clock)
            batch = []
    yield from _predict(engine, batch, done, clock)


def _prepare(engine: Engine, shots: Iterable[Shot], done: Mapping[str, object], clock: Clock) -> Iterator[_Ready]:
    running = iter(shots)
    while True:
        with clock.phase("read"):
            shot = next(running, None)
            if shot is None:
                return
            ready = _Ready(shot, None, None, shot.error)
            if shot.image is not None and shot.name not in done:
                try:
                    ready = _Ready(shot, *engine.prepare(shot.image, shot.name), "")
                except LgadError as error:
                    ready = _Ready(shot, None, None, str(error))
        yield ready


def _predict(
    engine: Engine, batch: Sequence[_Ready], done: Mapping[str, Sequence[FoundLane]], clock: Clock
) -> Iterator[Predicted]:
    fresh = [(ready.pixels, ready.frame) for ready in batch if ready.pixels is not None and ready.frame is not None]
    results: list[tuple[list[FoundLane], list[float] | None]] = []
    start = time.perf_counter()
    with clock.phase("network"):
        for _, alike in groupby(fresh, key=lambda pair: pair[0].shape):
            pixels, frames = zip(*alike, strict=True)
            lanes, existence = engine.run(np.stack(pixels), frames)
            results += zip(lanes, [None] * len(frames) if existence is None else existence.tolist(), strict=True)
    run_time = 1000 * (time.perf_counter() - start) / max(len(fresh), 1)
    found = iter(results)
    for ready in batch:
        if ready.pixels is not None:
            yield Predicted(ready.shot, *next(found), run_time)
        else:
            yield Predicted(ready.shot, done.get(ready.shot.name, ()), error=ready.error)
