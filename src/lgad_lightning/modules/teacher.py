from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lgad_lightning.batch_items import Where, label_of
from lgad_lightning.data import LaneBatch
from lgad_lightning.errors import LgadError
from lgad_lightning.label_values import check_label_values
from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.modules.base import LaneModule
from lgad_lightning.modules.weights import STUDENT, give_weights, read_checkpoint
from lgad_lightning.networks import LaneOutput


def encode_label(label: Tensor, num_classes: int) -> Tensor:
    """Turns a label map into one-hot planes, the input of the teacher.

    Args:
        label: Label map, `(B, H, W)`, integer or bool, values 0..num_classes-1 or 255 (ignore).
        num_classes: Number of classes with the background.

    Returns:
        `(B, num_classes, H, W)`, float32. At ignored pixels, all planes are zero.

    Example:
        >>> encode_label(torch.tensor([[[0, 2, 255]]]), num_classes=3)[0, :, 0].tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    label = label.byte() if label.dtype == torch.bool else label
    classes = torch.arange(num_classes, device=label.device, dtype=label.dtype)
    return (label.unsqueeze(-1) == classes).float().permute(0, 3, 1, 2)  # channels-last memory: faster convolutions


LOOKS = 3
"""Number of first batches in which a teacher checks the values of label maps. Each check waits for the device."""
ADAM = partial(torch.optim.Adam, lr=1e-3)
"""The optimiser of teachers. At first, a network predicts only background. Adam leaves this phase earlier than SGD."""


class LaneTeacher(LaneModule):
    """The teacher of LGAD: it reads the lane label map and learns to reproduce it (Liu & Zhu 2021).

    Any lane network can be a teacher, with one input channel for each class. After its training, it teaches a student
    through `LabelGuidedAttentionDistillation`. Then it is not needed any more.

    Any batch with label maps is enough: a dict, tuple or list, from your own data too. If it does not say which lanes
    exist, these are the classes that the label map contains.

    Args:
        network: Maps `(B, K, H, W)` to a `LaneOutput` of K classes.
        optimizer: Builds the optimiser from the parameters. By default Adam, see `ADAM`.
        label: Key, position or function of the batch where the label maps are. By default, the keys `label`, `mask` and
            `labels` or the second item.
        ignore_index: The value of ignored pixels in label maps of your own data.
        kwargs: The other arguments of `LaneModule`.

    Example:
        >>> from lgad_lightning.networks import ERFNet
        >>> teacher = LaneTeacher(ERFNet(num_classes=5, in_channels=5, input_size=(64, 160)))
        >>> teacher(torch.zeros(2, 64, 160, dtype=torch.long)).logits.shape
        torch.Size([2, 5, 64, 160])
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerCallable | None = None,
        label: Where | None = None,
        ignore_index: int = IGNORE_INDEX,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, optimizer=optimizer or ADAM, **kwargs)
        self.label = label
        self.ignore_index = ignore_index
        self.unseen = LOOKS

    def forward(self, label: Tensor) -> LaneOutput:
        """Runs the network on a label map.

        Args:
            label: Label map, `(B, H, W)`, integer, values 0..K-1 or 255 (ignore).

        Returns:
            The output of the network for the one-hot planes of the label map.
        """
        output: LaneOutput = self.network(encode_label(label, self.num_classes).to(self.dtype))
        return output

    def network_input(self, batch: LaneBatch) -> Tensor:
        """The one-hot planes of the label map."""
        return encode_label(batch["label"], self.num_classes).to(self.dtype)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Computes the loss of one batch. Its terms are logged under `train/`."""
        return super().training_step(self.lane_batch(batch), batch_idx)

    def evaluation_step(self, batch: Any, split: str) -> LaneOutput:
        """Logs the loss and updates the pixel metrics of one batch."""
        return super().evaluation_step(self.lane_batch(batch), split)

    def lane_batch(self, batch: Any) -> LaneBatch:
        """Reads any batch with label maps. The batches of this package are returned as they are.

        Args:
            batch: A dict, tuple or list.

        Raises:
            LgadError: If there are no label maps, or one of the first batches has values that are no classes.
        """
        if self.label is None and isinstance(batch, Mapping) and {"label", "existence", "name"} <= batch.keys():
            return cast(LaneBatch, batch)
        label = label_of(batch, self.label)
        if self.unseen:
            self.unseen -= 1
            check_label_values(label, self.ignore_index, self.num_classes, "the network")
        label = torch.where(label == self.ignore_index, IGNORE_INDEX, label.long())
        existence = encode_label(label, self.num_classes)[:, 1:].amax((2, 3))
        return {"label": label, "existence": existence, "name": [""] * len(label)}


def load_teacher(checkpoint: str | Path, network: nn.Module) -> LaneTeacher:
    """Loads a trained teacher for a distillation callback.

    Args:
        checkpoint: A checkpoint of the training of a `LaneTeacher`.
        network: A network built like the teacher's. Its weights are replaced.

    Returns:
        The teacher in evaluation mode, on the CPU.

    Raises:
        LgadError: If the file is missing or holds the weights of another network.

    Example:
        >>> import tempfile
        >>> from lgad_lightning.networks import ERFNet
        >>> network = ERFNet(in_channels=5, input_size=(64, 160), channels=(8, 16, 32))
        >>> with tempfile.TemporaryDirectory() as folder:  # a run has it in `teacher/checkpoints`
        ...     torch.save({"state_dict": LaneTeacher(network).state_dict()}, f"{folder}/last.ckpt")
        ...     load_teacher(f"{folder}/last.ckpt", network).num_classes
        5
    """
    teacher = LaneTeacher(network)
    load_weights(teacher, checkpoint)
    return teacher.eval()


def load_weights(teacher: LaneTeacher, checkpoint: str | Path) -> None:
    """Loads the weights of a checkpoint into a teacher.

    Args:
        teacher: The teacher. It is changed in place.
        checkpoint: A checkpoint of the training of a `LaneTeacher`.

    Raises:
        LgadError: If the file is missing or holds the weights of another network.
    """
    if not Path(checkpoint).is_file():
        raise LgadError(
            f"The teacher's checkpoint {checkpoint} does not exist. Give the path of a teacher's checkpoint, "
            "for example RUN_DIR/teacher/checkpoints/last.ckpt."
        )
    content = read_checkpoint(checkpoint)
    if STUDENT in content:
        raise LgadError(f"The checkpoint {checkpoint} is that of a student, which sees images: give a teacher's.")
    give_weights(teacher, content["state_dict"], f"The checkpoint {checkpoint}")
