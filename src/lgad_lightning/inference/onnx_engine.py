"""Runs exported files with ONNX Runtime."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from typing_extensions import override

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.extras import import_extra
from lgad_lightning.inference.exported import ExportedEngine, read_metadata
from lgad_lightning.inference.model_info import files_identity


class OnnxEngine(ExportedEngine):
    """Runs an `.onnx` file on the CPU.

    Args:
        path: The file.

    Raises:
        LgadError: If ONNX Runtime is not installed, or if `lgad-export` did not write the file.
    """

    def __init__(self, path: Path) -> None:
        onnxruntime = import_extra("onnxruntime", "export", str(path))
        if not path.is_file():
            raise LgadError(f"There is no file {path}; check the path.")
        onnxruntime.set_default_logger_severity(4)  # it warns about every node that it improves
        try:
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base class
            raise LgadError(f"{path} is no ONNX file that can be run: {first_line(error)}") from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        super().__init__(read_metadata(metadata, str(path), files_identity([path])), str(path))

    @override
    def outputs(self, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
        [source] = self.session.get_inputs()
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {source.name: value}), strict=True))
