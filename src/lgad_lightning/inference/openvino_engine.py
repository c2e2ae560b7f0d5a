"""Runs exported files with OpenVINO."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from typing_extensions import override

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.extras import import_extra
from lgad_lightning.inference.exported import ExportedEngine, read_metadata
from lgad_lightning.inference.model_info import files_identity


class OpenVinoEngine(ExportedEngine):
    """Runs an OpenVINO model on the CPU: an `.xml` with a `.bin` beside it.

    Args:
        path: The `.xml`.

    Raises:
        LgadError: If OpenVINO is not installed, or if `lgad-export` did not write the file.
    """

    def __init__(self, path: Path) -> None:
        openvino = import_extra("openvino", "export", str(path))
        files = [path, path.with_suffix(".bin")]
        for file in files:
            if not file.is_file():
                raise LgadError(f"There is no file {file}; OpenVINO's models are an .xml and a .bin beside it.")
        try:
            model = openvino.Core().read_model(path)
            metadata = {key: model.get_rt_info(["lgad", key]).astype(str) for key in _keys(model)}
            # Without this hint, CPUs with 16-bit arithmetic use it for fp32, too.
            self.compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # its errors have no common base class
            raise LgadError(f"{path} is no OpenVINO model that can be run: {first_line(error)}") from error
        super().__init__(read_metadata(metadata, str(path), files_identity(files)), str(path))

    @override
    def outputs(self, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
        found = self.compiled([value])
        return {output.get_any_name(): found[output] for output in self.compiled.outputs}


def _keys(model: Any) -> list[str]:
    return list(model.get_rt_info(["lgad"]).astype(dict)) if model.has_rt_info(["lgad"]) else []
