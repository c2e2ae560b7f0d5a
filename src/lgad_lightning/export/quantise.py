"""Static quantisation to 8 bits, calibrated on images."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.extras import import_extra

_OPERATORS = ["Conv", "ConvTranspose", "Gemm"]
"""The slow operators. If Add, Relu, MaxPool and Concat are added, F1 is lower and OpenVINO crashes on some graphs."""


def quantised(core: Any, calibration: Sequence[NDArray[np.float32]], symmetric: bool = False) -> Any:
    """Quantises a network's graph to 8 bits: weights per channel, activations by their ranges on images.

    Args:
        core: An `onnx.ModelProto` with the input `image`.
        calibration: Normalised images `(1, 3, height, width)`, like those that the network was trained with.
        symmetric: Whether activations are signed, around zero. TensorRT requires this. Otherwise, they are unsigned
            with a zero point. After a ReLU, these have twice the resolution, and x86 CPUs multiply them faster.

    Returns:
        An `onnx.ModelProto` with QuantizeLinear and DequantizeLinear, which ONNX Runtime, OpenVINO and TensorRT know.

    Raises:
        LgadError: If there are no images, or ONNX Runtime is not installed.
    """
    if not len(calibration):
        raise LgadError("int8 is calibrated on training images: give --calibrate DATA, the folder of a data set.")
    onnx = import_extra("onnx", "export", "int8")
    quantization = import_extra("onnxruntime.quantization", "export", "int8")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]  # imported late
        def __init__(self) -> None:
            self.images: Iterator[NDArray[np.float32]] = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image}

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # the library logs to the root logger
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, prepared, target = (Path(folder, f"{name}.onnx") for name in ("source", "prepared", "target"))
            onnx.save(core, source)
            quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                target,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=_OPERATORS,
                extra_options={"ActivationSymmetric": symmetric},
            )
            return onnx.load(target)
    finally:
        logging.getLogger().setLevel(level)
