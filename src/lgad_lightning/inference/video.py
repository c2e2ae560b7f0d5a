"""Reads videos as far as they are readable, and writes videos that browsers play."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import part_of

log = logging.getLogger(__name__)

_CODEC = "vp09"  # VP9: the only codec that browsers play and that OpenCV's wheels can write
_WIDEST = 960  # columns of a written video; VP9 is slow
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # no messages of FFmpeg about damaged files; ours say it once


class Video:
    """A video file or a camera.

    Args:
        source: The file's path, or the camera's number.

    Raises:
        LgadError: If it cannot be read.
    """

    def __init__(self, source: str | int) -> None:
        self.source = source
        capture = self._open()
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(count) if isinstance(source, str) and 0 < count < 1e9 else None
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate < 1000 else 25.0
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        if isinstance(self.source, str) and not Path(self.source).stat().st_size:
            raise LgadError(f"The video {self.source} is empty.")
        backend = cv2.CAP_FFMPEG if isinstance(self.source, str) else cv2.CAP_ANY
        # FFmpeg takes what is before a colon for a protocol, but not in an absolute path.
        source = str(Path(self.source).absolute()) if isinstance(self.source, str) else self.source
        capture = cv2.VideoCapture(source, backend)
        if not capture.isOpened():
            kind = "camera" if isinstance(self.source, int) else "image or video"
            raise LgadError(f"{self.source} is no {kind} that can be read.")
        return capture

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames `(H, W, 3)`, blue-green-red. A damaged video ends early, with a warning."""
        capture = self._open()
        number = 0
        try:
            while True:
                readable, image = capture.read()
                if not readable or image is None:
                    break
                yield image.astype(np.uint8, copy=False)
                number += 1
        finally:
            capture.release()
        if self.length is not None and number < self.length:
            log.warning("%s ends at frame %d of %d: the rest cannot be read.", self.source, number, self.length)


def open_video(source: str | int) -> Video:
    """Opens a video file or a camera, without OpenCV's own messages.

    Args:
        source: The file's path, or the camera's number.

    Raises:
        LgadError: If it cannot be read.
    """
    logging_: Any = getattr(cv2.utils, "logging", cv2)  # in OpenCV 4, cv2 itself has these functions
    before = logging_.getLogLevel()
    logging_.setLogLevel(0)  # silent
    try:
        return Video(source)
    except OSError as error:
        raise LgadError(f"{source} cannot be read: {error.strerror}.") from error
    finally:
        logging_.setLogLevel(before)


class VideoWriter:
    """Writes an `.mp4` (VP9) that browsers play, completely or not at all. Use it with `with`.

    Args:
        path: The file.
        rate: Frames a second.
        size: Height and width of the frames. Frames wider than 960 pixels are scaled down.

    Raises:
        LgadError: If it cannot be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        scale = min(1.0, _WIDEST / size[1])
        self.size = (max(2, round(size[1] * scale / 2) * 2), max(2, round(size[0] * scale / 2) * 2))  # even
        self.path = path.resolve()
        self.part = part_of(self.path, ".mp4")
        self.written = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = cv2.VideoWriter(str(self.part), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_CODEC), rate, self.size)
        if not self.writer.isOpened():
            self.part.unlink(missing_ok=True)
            raise LgadError(f"{path} cannot be written: this OpenCV has no VP9 encoder, or the folder is read-only.")

    def write(self, image: NDArray[np.uint8]) -> None:
        """Adds a frame `(H, W, 3)`, blue-green-red."""
        self.writer.write(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA))
        self.written += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.release()
        try:
            if kind is None:
                self._check()  # OpenCV does not report a full disk
                self.part.replace(self.path)
        finally:
            self.part.unlink(missing_ok=True)

    def _check(self) -> None:
        capture = cv2.VideoCapture(str(self.part))
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if found < self.written:
            raise LgadError(f"{self.path} cannot be written: {found} of {self.written} frames arrived. Make space.")
