"""Stands in for `tensorrt` where there is no GPU: the names that we call (of 10.9 and 11.4), run by ONNX Runtime.

Its engines read and write memory by address, as the real ones do.
"""

import ctypes
import enum
from types import SimpleNamespace
from typing import Any

import numpy as np

__version__ = "11.4"
MARK = b"stand-in"
asked: list[Any] = []
"""What the last builder was asked for."""


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 1


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class Builder:
    def __init__(self, logger: Logger) -> None:
        asked.clear()

    def create_network(self, flags: int) -> SimpleNamespace:
        asked.append(("network", flags))
        return SimpleNamespace(model=None)

    def create_builder_config(self) -> SimpleNamespace:
        return SimpleNamespace(
            clear_flag=lambda flag: asked.append(("without", flag)),
            add_optimization_profile=lambda profile: asked.append(("profile", profile)),
        )

    def create_optimization_profile(self) -> Any:
        return Profile()

    def build_serialized_network(self, network: Any, config: Any) -> memoryview:
        return memoryview(MARK + network.model)


class Profile(dict[str, Any]):
    def set_shape(self, name: str, smallest: Any, usual: Any, largest: Any) -> None:
        self[name] = (smallest, usual, largest)


class OnnxParser:
    def __init__(self, network: Any, logger: Logger) -> None:
        self.network = network

    def parse_from_file(self, path: str) -> bool:
        with open(path, "rb") as file:  # noqa: PTH123
            self.network.model = file.read()
        [source] = session(self.network.model).get_inputs()
        shape = tuple(side if isinstance(side, int) else -1 for side in source.shape)
        self.network.get_input = lambda index: SimpleNamespace(name=source.name, shape=shape)
        return True


class Runtime:
    def __init__(self, logger: Logger) -> None:
        pass

    def deserialize_cuda_engine(self, content: bytes) -> "Engine | None":
        return Engine(session(content[len(MARK) :])) if content.startswith(MARK) else None


class Engine:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.values = [*session.get_outputs(), *session.get_inputs()]  # in TensorRT, any order is possible
        self.num_io_tensors = len(self.values)

    def get_tensor_name(self, index: int) -> str:
        return str(self.values[index].name)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        inputs = [value.name for value in self.session.get_inputs()]
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return str(next(value.type for value in self.values if value.name == name))

    def create_execution_context(self) -> "Context":
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.given: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        [source] = self.engine.session.get_inputs()
        self.given = shape
        return len(shape) == len(source.shape) and all(
            wanted == side or isinstance(wanted, str) for wanted, side in zip(source.shape, shape, strict=True)
        )

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = next(value.shape for value in self.engine.values if value.name == name)
        return tuple(side if isinstance(side, int) else self.given[0] for side in shape)

    def execute_v2(self, addresses: list[int]) -> bool:
        memory = {
            value.name: (address, nptype(value.type))
            for value, address in zip(self.engine.values, addresses, strict=True)
        }
        [source] = self.engine.session.get_inputs()
        address, dtype = memory[source.name]
        count = int(np.prod(self.given)) * np.dtype(dtype).itemsize
        value = np.frombuffer(ctypes.string_at(address, count), dtype).reshape(self.given)
        names = [output.name for output in self.engine.session.get_outputs()]
        for name, found in zip(names, self.engine.session.run(names, {source.name: value}), strict=True):
            content = np.ascontiguousarray(found).tobytes()
            ctypes.memmove(memory[name][0], content, len(content))
        return True


def nptype(kind: str) -> Any:
    return {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_}[kind]


def session(model: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
