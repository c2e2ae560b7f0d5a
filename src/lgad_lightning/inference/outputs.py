"""Writes the results of a prediction."""

import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2

from lgad_lightning.data.prediction_files import prediction_path
from lgad_lightning.errors import LgadError
from lgad_lightning.inference.folder import (
    RECORDS,
    SUMMARY,
    TUSIMPLE,
    UNFINISHED,
    overlay_path,
    video_path,
    writing_to,
)
from lgad_lightning.inference.found import FoundLane
from lgad_lightning.inference.overlay import draw_lanes
from lgad_lightning.inference.pipeline import Predicted
from lgad_lightning.inference.sources import Images, VideoShots
from lgad_lightning.inference.video import VideoWriter
from lgad_lightning.lanes import TUSIMPLE_ROWS, TuSimpleFrame, write_lines, write_tusimple
from lgad_lightning.lanes.json_lines import iterate_json_lines
from lgad_lightning.longwork.whole_file import write_whole

_SMOOTH_STEP = 10  # rows between two points of a smooth curve


class Outputs:
    """Writes the results frame by frame: always the records (one JSON object per line), and the files of `kinds`.

    `lines`: CULane's `<image>.lines.txt`. `tusimple`: TuSimple's `predictions.json`. `overlay`: the frames with their
    lanes in the folder `overlays`. A video becomes one `.mp4`. Until the end, the records are in `.lanes.jsonl`. If the
    record of a frame is there, the frame is complete.

    Args:
        folder: A folder that `open_folder` prepared.
        kinds: The files to write: `lines`, `tusimple`, `overlay`.
        records: The records that `open_folder` returned.
        h_samples: Rows of TuSimple's file.
        rows: Rows for images whose list asks for others, by name.
        smooth: Whether to record a smooth curve of each lane.

    Attributes:
        done: Lanes of the frames that were predicted before, by name.
        skipped: The reasons why frames were not predicted, by name.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Collection[str],
        records: Sequence[dict[str, Any]],
        h_samples: Sequence[int] = TUSIMPLE_ROWS,
        rows: Mapping[str, tuple[int, ...]] | None = None,
        smooth: bool = False,
    ) -> None:
        self.folder = folder
        self.kinds = kinds
        self.h_samples = tuple(h_samples)
        self.rows = rows or {}
        self.smooth = smooth
        self.done = {record["image"]: list(_lanes(record)) for record in records}
        self.skipped: dict[str, str] = {}
        self._file = (folder / UNFINISHED).open("ab", buffering=0)
        self._failed = False
        self._of_video: VideoShots | None = None
        self._video: VideoWriter | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
        unfinished = self.folder / UNFINISHED
        if unfinished.is_file() and not unfinished.stat().st_size:
            unfinished.unlink()

    @contextmanager
    def source(self, source: Images | VideoShots) -> Iterator[None]:
        """Sets the source of the frames that the block writes. The overlays of a video become one video."""
        self._of_video, self._video = source if isinstance(source, VideoShots) else None, None
        with ExitStack() as self._stack:
            yield

    def write(self, predicted: Predicted) -> None:
        """Writes a frame.

        Args:
            predicted: The frame and its lanes.

        Raises:
            LgadError: If it cannot be written.
        """
        if self._failed:  # an earlier frame could not be written
            return
        self._failed = True
        self._write(predicted)
        self._failed = False

    def _write(self, predicted: Predicted) -> None:
        name, image, _ = predicted.shot
        if predicted.error or image is None:
            self.skipped[name] = predicted.error
            return
        fresh = name not in self.done
        with writing_to(self.folder):
            if "lines" in self.kinds and fresh:
                write_lines(prediction_path(self.folder, name), predicted.lanes)
            if "overlay" in self.kinds and self._of_video is not None:
                if self._video is None:
                    path = video_path(self.folder, self._of_video.name)
                    writer = VideoWriter(path, self._of_video.video.rate, (image.shape[0], image.shape[1]))
                    self._video = self._stack.enter_context(writer)
                self._video.write(draw_lanes(image, predicted.lanes))
            elif "overlay" in self.kinds and fresh:
                drawn, picture = cv2.imencode(".jpg", draw_lanes(image, predicted.lanes))
                if not drawn:
                    raise LgadError(f"{name} is too large for an overlay, which is a JPEG: leave out --write overlay.")
                write_whole(overlay_path(self.folder, name), picture.tobytes())
            if fresh:
                line = json.dumps(self._record(predicted, (image.shape[0], image.shape[1]))).encode() + b"\n"
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the files that can only be written at the end.

        Args:
            summary: The summary of the whole prediction.
        """
        with writing_to(self.folder):
            self._file.close()
            if "tusimple" in self.kinds:
                write_tusimple(self.folder / TUSIMPLE, self._tusimple_frames())
            write_whole(self.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
            (self.folder / UNFINISHED).replace(self.folder / RECORDS)

    def _record(self, predicted: Predicted, size: tuple[int, int]) -> dict[str, Any]:
        lanes = []
        for lane in predicted.lanes:
            record = lane.as_record()
            if self.smooth:
                curve = lane.smooth().points[::_SMOOTH_STEP]
                record["smooth"] = curve.round(2).tolist()
            lanes.append(record)
        existence = predicted.existence
        return {
            "image": predicted.shot.name,
            "height": size[0],
            "width": size[1],
            "lanes": lanes,
            "existence": None if existence is None else [round(value, 4) for value in existence],
            "run_time": None if predicted.run_time is None else round(predicted.run_time, 3),
        }

    def _tusimple_frames(self) -> Iterator[TuSimpleFrame]:
        for _, record in iterate_json_lines(self.folder / UNFINISHED):
            rows = self.rows.get(record["image"], self.h_samples)
            yield TuSimpleFrame(record["image"], list(_lanes(record)), rows, record["run_time"])


def _lanes(record: dict[str, Any]) -> Iterator[FoundLane]:
    for lane in record["lanes"]:
        yield FoundLane.of_record(lane, (record["height"], record["width"]))
