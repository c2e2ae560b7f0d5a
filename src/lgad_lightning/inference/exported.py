"""Exported files as engines: their metadata and their outputs."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.inference.engine import Engine
from lgad_lightning.inference.found import Seen, seen, seen_in_grid
from lgad_lightning.inference.model_info import ModelInfo
from lgad_lightning.lanes import Frame, GridDecoder, LaneGrid, MaskDecoder
from lgad_lightning.rebuildable import rebuild

FORMAT = 1
_KEYS = (
    "lgad_format", "preprocessing", "decoder", "protocol", "class_names", "image_size", "parts", "frame_size", "rows",
    "has_existence", "dynamic",
)  # fmt: skip


@dataclass(frozen=True)
class ExportInfo:
    """The metadata of an exported file.

    Args:
        model: What a prediction needs to know.
        parts: The parts of the file in addition to the network: `preprocessing`, `decoding`.
        frame_size: Height and width of the frames that these parts were made for.
        rows: Rows of the frame that a decoder in the file reads.
        has_existence: Whether the network has a head for existence.
        dynamic: Whether it takes any number of images at once.
    """

    model: ModelInfo
    parts: frozenset[str]
    frame_size: tuple[int, int]
    rows: tuple[float, ...]
    has_existence: bool
    dynamic: bool


def read_metadata(values: Mapping[str, str], where: str, identity: str) -> ExportInfo:
    """The metadata of an exported file.

    Args:
        values: The values of the file: a JSON text for each key.
        where: The name of the file, for messages.
        identity: Digits that differ between models.

    Raises:
        LgadError: If `lgad-export` did not write the file, if another version wrote it, or if it is damaged.
    """
    if "lgad_format" not in values:
        raise LgadError(f"{where} was not written by lgad-export: it does not say what its numbers mean.")
    try:
        found = {key: json.loads(values[key]) for key in _KEYS}
        if found["lgad_format"] != FORMAT:
            raise LgadError(f"{where} was written by another version of lgad-export: export it again.")
        model = ModelInfo(
            Preprocessing(**found["preprocessing"]),
            rebuild(found["decoder"], (GridDecoder, MaskDecoder)),
            found["protocol"],
            tuple(map(str, found["class_names"])),
            _size(found["image_size"]) if found["image_size"] else None,
            identity,
        )
        return ExportInfo(
            model,
            frozenset(found["parts"]),
            _size(found["frame_size"]),
            tuple(map(float, found["rows"])),
            bool(found["has_existence"]),
            bool(found["dynamic"]),
        )
    except LgadError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LgadError(f"{where} is damaged: what it says of itself cannot be read ({first_line(error)}).") from error


def _size(values: Any) -> tuple[int, int]:
    height, width = map(int, values)
    return height, width


class ExportedEngine(Engine):
    """Runs an exported file. A subclass chooses the library.

    Args:
        export: The metadata of the file.
        where: The name of the file, for messages.
    """

    def __init__(self, export: ExportInfo, where: str) -> None:
        super().__init__(export.model, batch=None if export.dynamic else 1)
        self.export = export
        self.where = where

    @abstractmethod
    def outputs(self, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Runs the file and returns its outputs by name.

        Args:
            value: The only input. With `preprocessing` in the file's `parts`: `(H, W, 3)` uint8, blue-green-red.
                Otherwise: `(B, 3, height, width)` float32, normalised.
        """

    @override
    def prepare(self, image: NDArray[np.uint8], name: str) -> tuple[NDArray[np.uint8], Frame]:
        size = image.shape[0], image.shape[1]
        if self.export.parts and size != self.export.frame_size:
            height, width = self.export.frame_size
            raise LgadError(
                f"{name} has {size[1]}x{size[0]} pixels, but {self.where} was exported for frames of {width}x{height}: "
                f"export it with --frame-size {size[1]}x{size[0]}, or without --with."
            )
        if "preprocessing" in self.export.parts:
            return image, Frame(*size, self.info.preprocessing_for(size).crop_top)
        return super().prepare(image, name)

    @override
    def run(self, pixels: NDArray[np.uint8], frames: Sequence[Frame]) -> Seen:
        if "preprocessing" in self.export.parts:
            value: NDArray[Any] = pixels[0]
        else:
            value = self.info.preprocessing.normalise(torch.from_numpy(pixels)).numpy()
        try:
            outputs = self.outputs(value)
        except Exception as error:  # the errors of the libraries have no common base class
            raise LgadError(f"{self.where} cannot be run: {first_line(error)}") from error
        try:
            return self._decoded(outputs, frames)
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise LgadError(f"{self.where} puts out something else than it says: {first_line(error)}") from error

    def _decoded(self, outputs: dict[str, NDArray[Any]], frames: Sequence[Frame]) -> Seen:
        if "decoding" not in self.export.parts:
            logits = torch.from_numpy(outputs["logits"])
            existence = torch.from_numpy(outputs["existence_logits"]).sigmoid() if self.export.has_existence else None
            return seen(self.info.decoder, logits.softmax(dim=1), existence, frames, self.info.class_names)
        rows = np.tile(np.array(self.export.rows), (len(frames), 1))
        found = outputs["valid"].astype(bool)
        slots = (len(frames), len(self.info.class_names) - 1, rows.shape[1])
        if found.shape != slots:
            raise ValueError(f"{found.shape} for {slots}")
        grid = LaneGrid(
            outputs["column"].astype(np.float64),
            rows,
            outputs["score"],
            found,
            outputs["existence"] if self.export.has_existence else None,
        )
        return seen_in_grid(grid, frames, self.info.class_names)
