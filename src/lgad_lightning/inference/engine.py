"""Engines run a network. They have one interface for all libraries."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.inference.found import Seen, seen
from lgad_lightning.inference.model_info import ModelInfo
from lgad_lightning.lanes import Frame, GridDecoder, MaskDecoder
from lgad_lightning.modules import LaneStudent


class Engine(ABC):
    """Runs a network on batches of images.

    Args:
        info: What is known about the model.
        batch: Number of images that it takes at once. None: any number.
    """

    def __init__(self, info: ModelInfo, batch: int | None = None) -> None:
        self.info = info
        self.batch = batch

    def prepare(self, image: NDArray[np.uint8], name: str) -> tuple[NDArray[np.uint8], Frame]:
        """Returns the pixels of an image that the network sees, and how they were cut from the image.

        Args:
            image: `(H, W, 3)`, blue-green-red.
            name: The name of the image, for messages.

        Raises:
            LgadError: If the model cannot take this image.
        """
        return self.info.preprocessing_for((image.shape[0], image.shape[1])).cut(image, name=name)

    @abstractmethod
    def run(self, pixels: NDArray[np.uint8], frames: Sequence[Frame]) -> Seen:
        """Runs the network and finds the lanes.

        Args:
            pixels: `(B, H, W, 3)`, the pixels that `prepare` returned for each image.
            frames: How each input was cut from its image.
        """


class TorchEngine(Engine):
    """Runs a copy of a trained student. The student itself is not changed.

    Args:
        student: The student.
        device: Where to run it, such as `cpu` or `cuda`.
        identity: Digits that differ between models.

    Raises:
        LgadError: If the student lacks a part, or there is no such device.
    """

    def __init__(self, student: LaneStudent, device: str = "cpu", identity: str = "") -> None:
        super().__init__(student_info(student, identity))
        self.student = deepcopy(student).eval().float()  # after a training in true half precision
        try:
            self.device = torch.device(device)
            self.student.network.to(self.device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
            raise LgadError(f"The network cannot be put on device {device!r}: {first_line(error)}") from error

    @override
    @torch.inference_mode()
    def run(self, pixels: NDArray[np.uint8], frames: Sequence[Frame]) -> Seen:
        try:
            output = self.student(self.info.preprocessing.normalise(torch.from_numpy(pixels).to(self.device)))
        except RuntimeError as error:
            raise LgadError(
                f"The network fails on a batch of {len(pixels)}: {first_line(error)} Where memory is short, give a "
                "smaller batch size."
            ) from error
        existence = None if output.existence is None else output.existence.float().sigmoid()
        probabilities = output.logits.float().softmax(dim=1)
        return seen(self.info.decoder, probabilities, existence, frames, self.info.class_names)


def student_info(student: LaneStudent, identity: str = "") -> ModelInfo:
    """Collects what a prediction needs to know about a student.

    Args:
        student: The student.
        identity: Digits that differ between models.

    Raises:
        LgadError: If its decoder is of another kind, or if it has no preprocessing.
    """
    if not isinstance(student.decoder, GridDecoder | MaskDecoder):
        raise LgadError(
            f"The student's decoder is a {type(student.decoder).__name__}, which gives no slots and scores: give "
            "LaneStudent a CULaneDecoder, a TuSimpleDecoder, a MaskDecoder (one slot), or one of your own derived from "
            "GridDecoder."
        )
    if student.preprocessing is None:
        raise LgadError("The student has no preprocessing: give LaneStudent(preprocessing=Preprocessing(...)).")
    if len(student.class_names) != student.num_classes:
        raise LgadError(f"The student has {student.num_classes} classes, and names for {len(student.class_names)}.")
    return ModelInfo(
        student.preprocessing,
        student.decoder,
        student.protocol,
        tuple(student.class_names),
        student.image_size,
        identity,
    )
