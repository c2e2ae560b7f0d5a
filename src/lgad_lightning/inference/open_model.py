"""Opens a model: a checkpoint, a folder, or an exported file."""

from pathlib import Path

from lgad_lightning.errors import LgadError
from lgad_lightning.inference.engine import Engine, TorchEngine
from lgad_lightning.inference.model_info import files_identity
from lgad_lightning.inference.onnx_engine import OnnxEngine
from lgad_lightning.inference.openvino_engine import OpenVinoEngine
from lgad_lightning.inference.tensorrt_engine import TensorRtEngine
from lgad_lightning.modules import LaneStudent, load_student
from lgad_lightning.modules.pretrained import CONFIG, WEIGHTS

_IN_RUN = ("student/checkpoints/best.ckpt", "student/checkpoints/last.ckpt")


def open_student(model: str | Path) -> tuple[LaneStudent, list[Path]]:
    """Opens a student: a checkpoint, the folder of a run, or a folder that `save_pretrained` wrote.

    Args:
        model: File or folder.

    Returns:
        The student, and the files that hold it.

    Raises:
        LgadError: If it is something else.
    """
    path = Path(model)
    if (path / CONFIG).is_file():
        return LaneStudent.from_pretrained(path), [path / CONFIG, path / WEIGHTS]
    if path.is_dir():
        found = next((path / name for name in _IN_RUN if (path / name).is_file()), None)
        if found is None:
            raise LgadError(f"{path} holds no trained student: neither {_IN_RUN[0]} (of a run) nor {CONFIG} (saved).")
        path = found
    return load_student(path), [path]


def open_engine(model: str | Path, device: str = "cpu") -> Engine:
    """Opens a model and returns the engine that runs it.

    Args:
        model: A checkpoint, a run's folder, a saved folder, or a file that `lgad-export` wrote.
        device: Where to run a student, such as `cpu` or `cuda`.

    Raises:
        LgadError: If it is not a model, or if its library is not installed.
    """
    if Path(model).suffix.lower() == ".onnx":
        return OnnxEngine(Path(model))
    if Path(model).suffix.lower() == ".xml":
        return OpenVinoEngine(Path(model))
    if Path(model).suffix.lower() == ".engine":
        return TensorRtEngine(Path(model))
    student, files = open_student(model)
    return TorchEngine(student, device, files_identity(files))
