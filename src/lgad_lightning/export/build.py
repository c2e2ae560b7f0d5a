"""Builds the ONNX model of a student. Its metadata say what its numbers mean."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.export.graph import OLDEST_OPSET, network_graph, with_decoding, with_preprocessing
from lgad_lightning.export.modules import GridDecoding
from lgad_lightning.export.quantise import quantised
from lgad_lightning.inference.engine import student_info
from lgad_lightning.inference.exported import FORMAT
from lgad_lightning.lanes import CULANE_SIZE, Frame, MaskDecoder
from lgad_lightning.modules import LaneStudent
from lgad_lightning.rebuildable import describe

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class ExportPlan:
    """How to export.

    Args:
        precision: The precision of the network's computation.
        parts: The parts to put into the graph in addition to the network: `preprocessing`, `decoding`.
        frame_size: Height and width of the frames that the parts are for. None: those of the training.
        opset: Version of ONNX's operators.
        dynamic: Whether the number of images is free.
        symmetric: For `int8`: whether the range of activations is symmetric around zero, as TensorRT requires.

    Raises:
        LgadError: If the opset is too old, or if the options contradict each other.
    """

    precision: Precision = "fp32"
    parts: frozenset[str] = frozenset()
    frame_size: tuple[int, int] | None = None
    opset: int = OLDEST_OPSET
    dynamic: bool = False
    symmetric: bool = False

    def __post_init__(self) -> None:
        if self.opset < OLDEST_OPSET:
            raise LgadError(f"opset {self.opset} is too old: graphs are written in opset {OLDEST_OPSET} or newer.")
        if self.dynamic and "preprocessing" in self.parts:
            raise LgadError("A graph with preprocessing takes one frame: leave out --dynamic batch.")


@dataclass(frozen=True)
class OnnxExport:
    """The result of an export.

    Args:
        core: The network alone, an `onnx.ModelProto`.
        model: The whole model, with its metadata.
        frame: How the network's inputs are cut from frames.
    """

    core: Any
    model: Any
    frame: Frame


def build_onnx(
    student: LaneStudent, plan: ExportPlan, calibration: Sequence[NDArray[np.float32]] = (), identity: str = ""
) -> OnnxExport:
    """Builds the ONNX model of a student.

    Args:
        student: The student.
        plan: How to export it.
        calibration: For `int8`: normalised images `(1, 3, height, width)`.
        identity: Digits that identify the student's weights.

    Raises:
        LgadError: If the student cannot be exported.
    """
    info = student_info(student)
    size = plan.frame_size or info.usual_size or CULANE_SIZE
    frame = Frame(*size, info.preprocessing_for(size).crop_top)
    if frame.height <= frame.crop_top:
        raise LgadError(f"Frames of {size[1]}x{size[0]} pixels are cropped to nothing: give another --frame-size.")
    decoding = None
    if "decoding" in plan.parts:
        if isinstance(info.decoder, MaskDecoder):
            raise LgadError(
                "This student's decoder traces connected parts, which no graph can: leave out decoding. lgad-predict "
                "decodes what such a file puts out."
            )
        decoding = GridDecoding(info.decoder, frame, info.preprocessing.input_size)
    core = network_graph(student, plan.opset, plan.precision == "fp16", plan.dynamic)
    has_existence = len(core.graph.output) > 1
    if plan.precision == "int8":
        core = quantised(core, calibration, plan.symmetric)
    model, rows = core, []
    with torch.no_grad():
        if decoding is not None:
            model, rows = with_decoding(model, decoding, student, plan.opset, plan.dynamic), decoding.rows
        if "preprocessing" in plan.parts:
            model = with_preprocessing(model, student, frame, plan.opset)
    if model is core:
        model = type(core).FromString(core.SerializeToString())
    metadata = {
        "lgad_format": FORMAT,
        "class_names": list(info.class_names),
        "protocol": info.protocol,
        "preprocessing": asdict(info.preprocessing),
        "decoder": described_decoder(info.decoder),
        "image_size": info.image_size,
        "frame_size": size,
        "crop_top": frame.crop_top,
        "channels": "bgr" if "preprocessing" in plan.parts else info.preprocessing.channels,
        "rows": rows,
        "parts": sorted(plan.parts),
        "has_existence": has_existence,
        "dynamic": plan.dynamic,
        "precision": plan.precision,
        "network": f"{type(student.network).__module__}.{type(student.network).__qualname__}",
        "weights": identity,
        "figures": student.figures,
        "versions": {name: version(name) for name in ("lgad-lightning", "torch", "onnx")},
    }
    del model.metadata_props[:]  # removes those of the quantiser
    add_metadata(model, metadata)
    return OnnxExport(core, model, frame)


def described_decoder(decoder: Any) -> dict[str, Any]:
    """Describes a decoder by its class and its arguments.

    Raises:
        LgadError: If its arguments are not known.
    """
    description = describe(decoder)
    if description is None:
        raise LgadError(f"The arguments of {type(decoder).__name__} cannot be written down: they must be plain values.")
    return description


def add_metadata(model: Any, values: dict[str, Any]) -> None:
    """Writes values into the metadata of a model: a JSON text for each key.

    Args:
        model: An `onnx.ModelProto`, changed in place.
        values: Plain values.
    """
    for key, value in values.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
