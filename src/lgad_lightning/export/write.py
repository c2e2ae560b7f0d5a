"""Writes exported files: completely, and only if they compute the same as the student."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.export.build import OnnxExport, add_metadata
from lgad_lightning.extras import import_extra
from lgad_lightning.inference.exported import ExportedEngine
from lgad_lightning.inference.onnx_engine import OnnxEngine
from lgad_lightning.inference.openvino_engine import OpenVinoEngine
from lgad_lightning.inference.tensorrt_engine import TensorRtEngine, built_engine, can_build_engines
from lgad_lightning.longwork.whole_file import copy_whole

Format = Literal["onnx", "openvino", "tensorrt"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".onnx"}
"""The suffix of the file of each format. TensorRT's engine is built from the `.onnx`, and is beside it."""
BESIDE: dict[Format, str] = {"openvino": ".bin", "tensorrt": ".engine"}
"""The suffix of the second file that some formats have beside the first."""


@contextmanager
def written(export: OnnxExport, path: Path, kind: Format) -> Iterator["Draft"]:
    """Writes an export to a temporary folder. Moves it to its place at the end of the block, unless the block raises.

    Args:
        export: The export that `build_onnx` returned.
        path: The file. OpenVINO's `.xml` has a `.bin` beside it, TensorRT's `.onnx` an `.engine` (if it can be built).
        kind: The format.

    Raises:
        LgadError: If it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.", suffix=".part") as folder:
            draft = Draft(export, Path(folder, path.name), kind)
            yield draft
            for file in draft.save():
                copy_whole(file, path.parent / file.name)
    except OSError as error:
        raise LgadError(f"{path} cannot be written: {error}. Make space, or give another --out.") from error


class Draft:
    """An export that can be tried before it is moved to its place.

    Args:
        export: The export that `build_onnx` returned.
        path: A file in a folder of its own.
        kind: The format.
    """

    def __init__(self, export: OnnxExport, path: Path, kind: Format) -> None:
        self.export = export
        self.path = path
        self.kind = kind
        self.save()
        self.engine_file = path.with_suffix(BESIDE["tensorrt"])
        if kind == "tensorrt" and can_build_engines():
            self.engine_file.write_bytes(built_engine(path))

    def engine(self) -> ExportedEngine:
        """Opens the engine that runs it on this machine."""
        if self.engine_file.is_file():
            return TensorRtEngine(self.engine_file)
        return OpenVinoEngine(self.path) if self.kind == "openvino" else OnnxEngine(self.path)

    def note(self, **values: Any) -> None:
        """Adds values to the metadata of the file."""
        add_metadata(self.export.model, values)

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(file.stat().st_size for file in self._files())

    def save(self) -> Sequence[Path]:
        """Writes the files and returns their paths."""
        onnx = self.path.with_suffix(".onnx")
        onnx.write_bytes(self.export.model.SerializeToString())
        if self.kind == "openvino":
            openvino = import_extra("openvino", "export", "--format openvino")
            model = openvino.convert_model(onnx)
            for entry in self.export.model.metadata_props:
                model.set_rt_info(entry.value, ["lgad", entry.key])
            try:
                openvino.save_model(model, self.path, compress_to_fp16=False)
            except RuntimeError as error:  # on a full disk
                raise OSError(f"OpenVINO cannot write its files ({first_line(error)})") from error
            onnx.unlink()
        return self._files()

    def _files(self) -> list[Path]:
        return sorted(
            self.path.parent.iterdir()
        )  # .bin before .xml, and .engine before .onnx: the second needs the first
