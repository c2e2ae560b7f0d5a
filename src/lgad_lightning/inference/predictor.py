"""Finds lanes in images and videos, from Python."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, get_args, overload

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.settings import check_choice, check_whole
from lgad_lightning.errors import LgadError
from lgad_lightning.inference.engine import TorchEngine
from lgad_lightning.inference.found import FoundLane
from lgad_lightning.inference.images import Channels, as_bgr
from lgad_lightning.inference.open_model import open_engine
from lgad_lightning.inference.overlay import draw_lanes
from lgad_lightning.inference.pipeline import predict_shots
from lgad_lightning.inference.sources import Shot, VideoShots
from lgad_lightning.inference.tracking import LaneTracker
from lgad_lightning.inference.video import open_video
from lgad_lightning.modules import LaneStudent


class VideoFrame(NamedTuple):
    """A frame of a video with its lanes.

    Attributes:
        number: Number of the frame, from 0.
        image: `(H, W, 3)` uint8, in the predictor's order of channels.
        lanes: The lanes that were found in it.
    """

    number: int
    image: NDArray[np.uint8]
    lanes: list[FoundLane]


class LanePredictor:
    """Finds lanes in images of any size.

    Args:
        model: A checkpoint, the folder of a run, a folder that `save_pretrained` wrote, a file that `lgad-export`
            wrote, or a `LaneStudent`.
        device: Where to run a student: `cpu`, `cuda`, ...
        batch_size: Images that the network sees at once.
        channels: Order of the channels in arrays, given and returned: OpenCV's `bgr`, or `rgb`.

    Raises:
        LgadError: If the model or a setting cannot be used.

    Example:
        >>> from lgad_lightning import ERFNet, Preprocessing
        >>> from lgad_lightning.lanes import CULaneDecoder
        >>> network = ERFNet(input_size=(64, 160), channels=(8, 16, 32))
        >>> student = LaneStudent(network, CULaneDecoder(), preprocessing=Preprocessing(input_size=(64, 160)))
        >>> predictor = LanePredictor(student)  # or of a trained one's file: LanePredictor("best.ckpt")
        >>> image = np.zeros((590, 1640, 3), np.uint8)
        >>> predictor.draw(image, predictor.predict(image)).shape
        (590, 1640, 3)
    """

    def __init__(
        self,
        model: str | Path | LaneStudent,
        device: str = "cpu",
        batch_size: int = 8,
        channels: Channels = "bgr",
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        check_choice("channels", channels, get_args(Channels))
        self.engine = TorchEngine(model, device) if isinstance(model, LaneStudent) else open_engine(model, device)
        self.batch_size = batch_size
        self.channels = channels

    @overload
    def predict(self, images: Sequence[Any]) -> list[list[FoundLane]]: ...
    @overload
    def predict(self, images: Any) -> list[FoundLane]: ...
    def predict(self, images: Any) -> Any:
        """Finds the lanes of an image, or of each image in a list.

        Args:
            images: A path, a PIL image, an array `(H, W, 3)` uint8; or a list or tuple of these.

        Returns:
            Lanes in pixels of the image, in the order of their slots; a list of such lists for a list.

        Raises:
            LgadError: If an image cannot be read.
        """
        if not isinstance(images, list | tuple):
            return self.predict([images])[0]
        shots = (Shot(self._name(image, number), as_bgr(image, self.channels)) for number, image in enumerate(images))
        found = []
        for predicted in predict_shots(self.engine, shots, self.batch_size):
            if predicted.error:
                raise LgadError(predicted.error)
            found.append(list(predicted.lanes))
        return found

    def draw(self, image: Any, lanes: Sequence[FoundLane]) -> NDArray[np.uint8]:
        """Draws lanes over an image.

        Args:
            image: A path, a PIL image, or an array `(H, W, 3)` uint8.
            lanes: The lanes that `predict` found in it.

        Returns:
            A new array `(H, W, 3)` uint8, in the predictor's order of channels.
        """
        return self._ordered(draw_lanes(as_bgr(image, self.channels), lanes))

    def stream(self, video: str | PathLike[str] | int, track: bool = False) -> Iterator[VideoFrame]:
        """Yields the frames of a video with their lanes.

        Args:
            video: The path of a file, or the number of a camera. Each frame of a camera is predicted at once.
            track: Whether to track and smooth lanes over time, see `LaneTracker`.

        Raises:
            LgadError: If the video cannot be opened. A damaged one ends early, with a warning.
        """
        source = VideoShots(open_video(video if isinstance(video, int) else str(video)), "frame")
        tracker = LaneTracker() if track else None
        size = 1 if isinstance(video, int) else self.batch_size
        for number, predicted in enumerate(predict_shots(self.engine, source.shots(()), size)):
            if predicted.error:
                raise LgadError(predicted.error)
            assert predicted.shot.image is not None  # since there is no error
            lanes = list(predicted.lanes)
            yield VideoFrame(
                number, self._ordered(predicted.shot.image), lanes if tracker is None else tracker.update(lanes)
            )

    def _name(self, image: Any, number: int) -> str:
        return str(image) if isinstance(image, str | Path) else f"image {number}"

    def _ordered(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(image[..., ::-1]) if self.channels == "rgb" else image
