"""Builds a TensorRT engine from an exported `.onnx` on the machine with the GPU, and runs it."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.inference.exported import ExportedEngine
from lgad_lightning.inference.model_info import files_identity
from lgad_lightning.inference.onnx_engine import OnnxEngine

BATCHES = (1, 4, 16)
"""Smallest, usual and largest number of images of an engine with a dynamic batch."""


def can_build_engines() -> bool:
    """Whether TensorRT is installed here and there is a CUDA GPU."""
    return find_spec("tensorrt") is not None and torch.cuda.is_available()


def built_engine(onnx: Path) -> bytes:
    """Builds an engine for the GPU of this machine.

    Every number keeps the precision that it has in the file (TensorRT calls this strong typing).

    Args:
        onnx: A file that `lgad-export` wrote.

    Raises:
        LgadError: If TensorRT cannot build it.
    """
    tensorrt = _import_tensorrt()
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        raise LgadError(f"TensorRT {tensorrt.__version__} cannot read the export: {first_line(parser.get_error(0))}")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # TF32 would round fp32 to ten bits
    source = network.get_input(0)
    if source.shape[0] == -1:
        profile = builder.create_optimization_profile()
        profile.set_shape(source.name, *((number, *tuple(source.shape)[1:]) for number in BATCHES))
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise LgadError(f"TensorRT {tensorrt.__version__} cannot build an engine; what it says is printed above.")
    return bytes(engine)


class TensorRtEngine(ExportedEngine):
    """Runs an `.engine` of TensorRT on the GPU. The `.onnx` that it was built from must be beside it.

    Args:
        path: The `.engine`.

    Raises:
        LgadError: If TensorRT or a GPU is missing, if the engine was built for another machine, or if `lgad-export` did
            not write the `.onnx`.
    """

    device = "cuda"

    def __init__(self, path: Path) -> None:
        files = [path, path.with_suffix(".onnx")]
        for file in files:
            if not file.is_file():
                raise LgadError(f"There is no file {file}; TensorRT's models are an .engine and the .onnx beside it.")
        if not can_build_engines():
            raise LgadError(f"{path} is run by TensorRT on a CUDA GPU: install tensorrt on a machine that has one.")
        self.tensorrt = _import_tensorrt()
        self.runtime = self.tensorrt.Runtime(self.tensorrt.Logger(self.tensorrt.Logger.ERROR))  # outlives the engine
        self.engine = self.runtime.deserialize_cuda_engine(path.read_bytes())
        if self.engine is None:
            raise LgadError(
                f"{path} cannot be run by TensorRT {self.tensorrt.__version__} on this GPU. An engine is built where "
                "it runs: export again here, with --format tensorrt."
            )
        self.context = self.engine.create_execution_context()
        export = OnnxEngine(files[1]).export
        super().__init__(replace(export, model=replace(export.model, identity=files_identity(files))), str(path))
        self.batch = BATCHES[1] if self.export.dynamic else 1

    @override
    def outputs(self, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        source = next(n for n in names if self.engine.get_tensor_mode(n) == self.tensorrt.TensorIOMode.INPUT)
        if not self.context.set_input_shape(source, value.shape):
            raise ValueError(f"the engine takes no input of shape {value.shape}")
        tensors = {name: self._space(name) if name != source else self._on_device(value) for name in names}
        if not self.context.execute_v2([tensor.data_ptr() for tensor in tensors.values()]):
            raise RuntimeError("TensorRT failed; what it says is printed above")
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items() if name != source}

    def _space(self, name: str) -> torch.Tensor:
        """Allocates memory for an output."""
        dtype = self.tensorrt.nptype(self.engine.get_tensor_dtype(name))
        return self._on_device(np.zeros(tuple(self.context.get_tensor_shape(name)), dtype))

    def _on_device(self, value: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(value)).to(self.device)


def _import_tensorrt() -> Any:
    """Imports TensorRT. This fails if CUDA's libraries are missing."""
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise LgadError(f"TensorRT cannot be loaded: {first_line(error)}") from error
    return tensorrt
