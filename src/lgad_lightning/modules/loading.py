"""A student from what it left behind."""

from pathlib import Path

from torch import nn

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.modules.description import StudentParts, rebuild_parts
from lgad_lightning.modules.student import STUDENT, LaneDecoder, LaneStudent
from lgad_lightning.modules.weights import give_weights, read_checkpoint


def load_student(
    checkpoint: str | Path,
    network: nn.Module | None = None,
    decoder: LaneDecoder | None = None,
    preprocessing: Preprocessing | None = None,
) -> LaneStudent:
    """A trained student from its checkpoint alone.

    Nothing else is needed: network, decoder and preprocessing are made as the checkpoint says. The file is opened with
    `weights_only=True`, and only classes of this package or of modules that were imported before are made, so that a
    checkpoint from elsewhere runs no code.

    Args:
        checkpoint: What the training of a `LaneStudent` wrote, `RUN/student/checkpoints/best.ckpt` for example.
        network: A network built as the student's was, where the checkpoint cannot tell how.
        decoder: Likewise.
        preprocessing: Likewise.

    Returns:
        The student in evaluation mode, on the CPU.

    Raises:
        LgadError: If the file is no student's checkpoint, or a part cannot be made again; says what to pass.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from lgad_lightning import ERFNet
        >>> from lgad_lightning.lanes import CULaneDecoder
        >>> network = ERFNet(input_size=(64, 160), channels=(8, 16, 32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": LaneStudent(network).state_dict()}, f"{folder}/last.ckpt")
        ...     # of a file that training wrote, load_student("best.ckpt") knows these three by itself
        ...     student = load_student(f"{folder}/last.ckpt", network, CULaneDecoder(), Preprocessing((64, 160)))
        >>> student.preprocessing.input_size
        (64, 160)
    """
    content = read_checkpoint(checkpoint)
    weights = {
        name.removeprefix("network."): value
        for name, value in content["state_dict"].items()
        if name.startswith("network.")
    }
    if not weights:
        raise LgadError(f"{checkpoint} is no checkpoint of a LaneStudent: it holds no weights under `network`.")
    if STUDENT in content:
        given = {"network": network, "decoder": decoder, "preprocessing": preprocessing}
        parts = rebuild_parts(content[STUDENT], str(checkpoint), **given)
    elif network is not None and decoder is not None and preprocessing is not None:
        names = ("background", *(f"lane {slot}" for slot in range(1, int(getattr(network, "num_classes", 1)))))
        parts = StudentParts(network, decoder, preprocessing, None, names)
    else:
        raise LgadError(
            f"{checkpoint} does not say how its network was built: it is a teacher's, or older than this version. To "
            "convert an older student's: load_student(file, network=..., decoder=..., preprocessing=...)"
            ".save_pretrained(folder)."
        )
    give_weights(parts.network, weights, str(checkpoint))
    return LaneStudent.of_parts(parts)
