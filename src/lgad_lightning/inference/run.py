"""Runs a whole prediction: from sources to a folder."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from lgad_lightning.errors import LgadError
from lgad_lightning.inference.engine import Engine
from lgad_lightning.inference.outputs import Outputs
from lgad_lightning.inference.pipeline import Clock, Predicted, predict_shots
from lgad_lightning.inference.sources import Images, VideoShots
from lgad_lightning.inference.tracking import LaneTracker

log = logging.getLogger(__name__)


def predict_sources(
    engine: Engine,
    sources: Sequence[Images | VideoShots],
    outputs: Outputs,
    batch_size: int = 8,
    track: bool = False,
    on_error: str = "skip",
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Predicts on all frames of sources and writes the outputs. Reading, network and writing overlap.

    A camera is recorded until Ctrl-C. Then the next source follows.

    Args:
        engine: The network.
        sources: Where the frames come from.
        outputs: Writes the results.
        batch_size: Frames that the network sees at once.
        track: Whether to track and smooth the lanes of videos.
        on_error: `skip` frames that cannot be predicted, or `raise`.
        advance: Called after each frame.

    Returns:
        The summary: numbers of frames (now, and before an interruption), seconds, and frames per second, in total and
        of each phase alone.

    Raises:
        LgadError: If no frame could be predicted so far, if one cannot be predicted and `on_error` is `raise`, or if
            the outputs cannot be written.
    """
    clock, start, frames = Clock(), time.perf_counter(), 0
    warned = False
    with ThreadPoolExecutor(1) as writer:
        for source in sources:
            tracker = LaneTracker() if track and isinstance(source, VideoShots) else None
            waiting: deque[Future[None]] = deque()
            with outputs.source(source):
                shots = source.shots(outputs.done)
                with _all_written(waiting), _until_interrupted(source):
                    for predicted in predict_shots(engine, shots, batch_size, outputs.done, clock):
                        if predicted.error:
                            if on_error == "raise":
                                raise LgadError(predicted.error)
                            log.warning("Skipped: %s", predicted.error)
                        elif not warned and predicted.shot.image is not None:
                            size = predicted.shot.image.shape[0], predicted.shot.image.shape[1]
                            if warning := engine.info.size_warning(size):
                                log.warning(warning)
                                warned = True
                        frames += predicted.run_time is not None
                        waiting.append(writer.submit(_write, outputs, _tracked(tracker, predicted), clock))
                        for future in _ended(waiting, at_most=2 * batch_size):
                            future.result()
                        advance()
                        if predicted.error and isinstance(source, VideoShots):
                            break  # all frames of a video have the same size, which the model does not take
    if not frames and not outputs.done:
        if not outputs.skipped:
            raise LgadError("No frame could be read: the videos hold none.")
        first = next(iter(outputs.skipped.values()))
        raise LgadError(f"None of {len(outputs.skipped)} frames could be predicted; the first: {first}")
    seconds = time.perf_counter() - start
    return {
        "frames": frames,
        "frames_before": len(outputs.done),
        "skipped": outputs.skipped,
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / seconds, 2),
        "frames_per_second_of_phase": {
            name: round(frames / busy, 2) for name, busy in clock.seconds.items() if frames and busy
        },
    }


def _tracked(tracker: LaneTracker | None, predicted: Predicted) -> Predicted:
    if tracker is None or predicted.error:
        return predicted
    if predicted.run_time is None:  # predicted and tracked in an earlier run
        tracker.recall(predicted.lanes)
        return predicted
    return predicted._replace(lanes=tracker.update(predicted.lanes))


def _write(outputs: Outputs, predicted: Predicted, clock: Clock) -> None:
    with clock.phase("write"):
        outputs.write(predicted)


@contextmanager
def _all_written(waiting: deque["Future[None]"]) -> Iterator[None]:
    """Waits at the end of the block until everything in the deque is written or has failed."""
    try:
        yield
        for future in _ended(waiting, at_most=0):
            future.result()
    finally:
        wait(waiting)


@contextmanager
def _until_interrupted(source: Images | VideoShots) -> Iterator[None]:
    """Ends the block at Ctrl-C if the source is a camera, which has no other end."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if type(stop) is not KeyboardInterrupt or not source.endless:  # SIGTERM has a class of its own
            raise
        log.warning("The recording ends here.")


def _ended(waiting: deque["Future[None]"], at_most: int) -> Iterator["Future[None]"]:
    """Yields the oldest waiting writes until at most `at_most` are left."""
    while len(waiting) > at_most:
        yield waiting.popleft()
