"""Compares the speed of an exported file with that of its student."""

import statistics
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.inference.engine import Engine

_ROUNDS = 9


def seconds_of_a_frame(engines: Sequence[Engine], frame: NDArray[np.uint8]) -> list[float]:
    """Measures the median seconds of each engine from a frame's pixels to its lanes. The engines take turns.

    Args:
        engines: The engines.
        frame: Image `(H, W, 3)`, blue-green-red.
    """
    prepared = [(engine, *engine.prepare(frame, "a frame")) for engine in engines]
    seconds: list[list[float]] = [[] for _ in engines]
    for number in range(_ROUNDS + 1):
        for taken, (engine, pixels, geometry) in zip(seconds, prepared, strict=True):
            start = time.perf_counter()
            engine.run(pixels[None], [geometry])
            if number:  # the first one warms up
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]
