"""Loads a student from its checkpoint."""

from pathlib import Path

from torch import nn

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import uncompiled_name
from lgad_lightning.modules.description import StudentParts, rebuild_parts
from lgad_lightning.modules.student import LaneDecoder, LaneStudent
from lgad_lightning.modules.weights import STUDENT, give_weights, read_checkpoint


def load_student(
    checkpoint: str | Path,
    network: nn.Module | None = None,
    decoder: LaneDecoder | None = None,
    preprocessing: Preprocessing | None = None,
) -> LaneStudent:
    """Loads a trained student. Its checkpoint is enough.

    Network, decoder and preprocessing are built as the checkpoint says. The file is opened with `weights_only=True`.
    Only classes of this package, or of modules that were imported before, are built. So a checkpoint from somebody else
    runs no code.

    Args:
        checkpoint: A checkpoint of the training of a `LaneStudent`, such as `RUN/student/checkpoints/best.ckpt`.
        network: A network built like the student's, if the checkpoint does not describe it.
        decoder: A decoder, if the checkpoint does not describe it.
        preprocessing: A preprocessing, if the checkpoint does not describe it.

    Returns:
        The student in evaluation mode, on the CPU.

    Raises:
        LgadError: If the file is not a checkpoint of a student, or if a part cannot be built. The message says what to
            pass.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from lgad_lightning import ERFNet
        >>> from lgad_lightning.lanes import CULaneDecoder
        >>> network = ERFNet(input_size=(64, 160), channels=(8, 16, 32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": LaneStudent(network).state_dict()}, f"{folder}/last.ckpt")
        ...     # for a file that a training wrote, load_student("best.ckpt") is enough
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
        raise LgadError(f"{checkpoint} is not a checkpoint of a LaneStudent: it holds no weights under `network`.")
    if STUDENT in content:
        given = {"network": network, "decoder": decoder, "preprocessing": preprocessing}
        parts = rebuild_parts(content[STUDENT], str(checkpoint), **given)
    elif network is not None and decoder is not None and preprocessing is not None:
        names = ("background", *(f"lane {slot}" for slot in range(1, int(getattr(network, "num_classes", 1)))))
        parts = StudentParts(network, decoder, preprocessing, None, names)
    else:
        raise LgadError(
            f"{checkpoint} does not say how its network was built: it belongs to a teacher, or it is too old. To "
            "convert an older student: load_student(file, network=..., decoder=..., preprocessing=...)"
            ".save_pretrained(folder)."
        )
    give_weights(parts.network, weights, str(checkpoint))
    return LaneStudent.of_parts(parts)


def begin_with(student: LaneStudent, checkpoint: str | Path) -> list[str]:
    """Gives a student the weights of a trained one, as far as they fit, to train it further on other data.

    Tensors that are missing in the checkpoint, or have another shape there, keep their values. With another number of
    lanes or another input size, these are the last layers.

    Args:
        student: The student, with a network of the same kind. It is changed in place.
        checkpoint: A checkpoint of the training of a `LaneStudent`.

    Returns:
        The names of the tensors that keep their values.

    Raises:
        LgadError: If the file is not the checkpoint of a student, or if less than half of the tensors fit.
    """
    content = read_checkpoint(checkpoint)
    if STUDENT not in content:
        raise LgadError(
            f"{checkpoint} is not the checkpoint of a student: give one like RUN_DIR/student/checkpoints/best.ckpt."
        )
    own, weights = student.state_dict(), content["state_dict"]
    names = {name: uncompiled_name(name) for name in own}
    fitting = {
        name: weights[stored]
        for name, stored in names.items()
        if stored in weights and weights[stored].shape == own[name].shape
    }
    if 2 * len(fitting) < len(own):
        raise LgadError(
            f"{checkpoint} holds the weights of another network: {len(fitting)} of the {len(own)} tensors of "
            f"{type(student.network).__name__} fit. Build the network as it was built for that training."
        )
    student.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]
