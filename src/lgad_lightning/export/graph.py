"""Builds ONNX graphs of a student: its network, and the preprocessing and decoding around it."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.export.modules import ExportableNetwork, FramePreprocessing, GridDecoding
from lgad_lightning.extras import import_extra
from lgad_lightning.lanes import Frame
from lgad_lightning.modules import LaneStudent

OLDEST_OPSET = 18
LOGITS = ("logits", "existence_logits")


def network_graph(student: LaneStudent, opset: int = OLDEST_OPSET, half: bool = False, dynamic: bool = False) -> Any:
    """Builds the graph of a student's network, from `image` `(B, 3, height, width)` to `logits` and `existence_logits`.

    Args:
        student: The student, with its preprocessing.
        opset: Version of ONNX's operators.
        half: Whether to compute in 16 bits.
        dynamic: Whether B is free; otherwise it is 1.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        LgadError: If the network cannot be exported, or onnx is not installed.
    """
    assert student.preprocessing is not None  # student_info has checked this
    image = torch.zeros(2 if dynamic else 1, 3, *student.preprocessing.input_size)
    network = ExportableNetwork(student.network, half).cpu()
    names = LOGITS[: len(network(image))]
    shapes = {"image": {0: torch.export.Dim("batch")}} if dynamic else None
    return _graph(network, (image,), ["image"], names, opset, shapes)


def with_preprocessing(core: Any, student: LaneStudent, frame: Frame, opset: int) -> Any:
    """Puts the preprocessing in front of a graph. The new input is a `frame` `(H, W, 3)` uint8.

    Args:
        core: The graph that `network_graph` returned, with B = 1.
        student: The student.
        frame: How the network's inputs are cut from frames.
        opset: Version of ONNX's operators.
    """
    from dataclasses import replace

    assert student.preprocessing is not None  # student_info has checked this
    cut = replace(student.preprocessing, crop_top=frame.crop_top)
    preprocessing = FramePreprocessing(cut, (frame.height, frame.width))
    pixels = torch.zeros(frame.height, frame.width, 3, dtype=torch.uint8)
    graph = _graph(preprocessing, (pixels,), ["frame"], ["normalised"], opset)
    return _joined(graph, core, [("normalised", "image")])


def with_decoding(core: Any, decoding: GridDecoding, student: LaneStudent, opset: int, dynamic: bool) -> Any:
    """Puts the decoder after a graph. The new outputs are `column`, `score`, `valid` and `existence`.

    Args:
        core: The graph that `network_graph` returned.
        decoding: The decoder for the frames.
        student: The student.
        opset: Version of ONNX's operators.
        dynamic: Whether the number of images is free.
    """
    assert student.preprocessing is not None  # student_info has checked this
    names = [output.name for output in core.graph.output]
    batch = 2 if dynamic else 1
    logits = torch.zeros(batch, student.num_classes, *student.preprocessing.input_size)
    inputs = (logits, torch.zeros(batch, student.num_classes - 1))[: len(names)]
    axis = torch.export.Dim("batch")
    shapes = {name: {0: axis} for name in LOGITS[: len(names)]} if dynamic else None
    new = [f"decoding_{name}" for name in names]
    graph = _graph(decoding, inputs, new, ["column", "score", "valid", "existence"], opset, shapes)
    return _joined(core, graph, list(zip(names, new, strict=True)))


def _graph(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int,
    dynamic_shapes: Any = None,
) -> Any:
    import_extra("onnxscript", "export", "The export")  # torch.onnx.export needs it, and it needs onnx
    loggers = {logging.getLogger("torch.onnx"): logging.ERROR, logging.getLogger("onnxscript"): logging.CRITICAL}
    levels = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                opset_version=opset,
                input_names=input_names,
                output_names=output_names,
                dynamic_shapes=dynamic_shapes,
                verbose=False,
            )
    except Exception as error:  # errors of many types, with long texts
        raise LgadError(f"The network cannot be exported to ONNX: {first_line(error)}") from error
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    # torch writes another opset if it cannot convert the graph.
    if any(entry.version != opset for entry in model.opset_import if not entry.domain):
        raise LgadError(f"opset {opset} cannot be written by the installed torch and onnx: give an older one.")
    return model


def _joined(first: Any, second: Any, pairs: list[tuple[str, str]]) -> Any:
    """Joins two graphs: outputs of the first become inputs of the second."""
    import onnx
    from onnx import compose

    kept = {"rename_inputs": False, "rename_outputs": False}
    parts = [compose.add_prefix(part, f"{name}/", **kept) for part, name in ((first, "a"), (second, "b"))]
    version = max(part.ir_version for part in parts)
    for part in parts:
        part.ir_version = version
    joined = compose.merge_models(parts[0], parts[1], io_map=pairs)
    del joined.opset_import[1:]  # the same one for each part
    onnx.checker.check_model(joined)
    return joined
