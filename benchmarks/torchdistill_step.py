"""What a training step costs more under LGAD, here and in torchdistill: CPU time, as ratios to the plain step.

The distillation is the same in both, and a check before the timing says so: networks, batch, task loss and optimiser,
a teacher fed the label map, and the L2-normalised attention maps of the same three layers (torchdistill's `ATLoss`).
Then four kinds of step take turns in one process:

* plain: the module's own step in a Lightning Trainer;
* LGAD: the same with this package's callback;
* torchdistill: a step of its `DistillationBox`, which runs the whole teacher without gradient;
* torchdistill, encoder only: the same, given only the teacher's encoder, which a user might cut out by hand.

Each ratio is that of a step to the plain one of the same round. The boxes have no Trainer around them, nothing logged,
and the label maps encoded as this package does it, all of which counts in their favour.

torchdistill needs torchvision, which needs the torch that it was built with. In an environment of its own:

    pip install -e . torch==2.14.1 torchvision==0.29.1 torchdistill==1.1.5
    python benchmarks/torchdistill_step.py --networks enet erfnet --rounds 10
"""

import argparse
import itertools
import time
from copy import deepcopy
from typing import Any

import lightning as L
import torch
from distillation_step import LAYERS, LAYOUTS, arguments, build, figures, fit
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchdistill.core.distillation import DistillationBox  # type: ignore[import-not-found]
from torchdistill.core.interfaces.registry import register_forward_proc_func  # type: ignore[import-not-found]

from lgad_lightning import LabelGuidedAttentionDistillation, LaneStudent, LaneTeacher
from lgad_lightning.data import LaneBatch
from lgad_lightning.features import find_layers, record_features
from lgad_lightning.losses import LaneLoss
from lgad_lightning.modules import encode_label

KINDS = ("plain", "LGAD", "torchdistill", "torchdistill, encoder only")
STRIDES = {"stage1": 4, "stage2": 8, "stage3": 8}


def forward_label(model: nn.Module, image: Tensor, batch: LaneBatch, supp_dict: Any = None) -> Any:
    """Call the teacher with the label map."""
    return model(encode_label(batch["label"], num_classes=5))


register_forward_proc_func(forward_label)


class TaskLoss(LaneLoss):
    """The module's own loss, in the form that torchdistill calls."""

    def forward(self, student: Any, teacher: Any, batch: LaneBatch) -> Tensor:  # type: ignore[override]
        """The loss of the student's output."""
        return super().forward(student["."]["output"], batch["label"], batch["existence"])["loss"]


class Boxes(L.Callback):
    """Before each plain step, one of each box."""

    def __init__(self, boxes: list[DistillationBox], turns: int) -> None:
        self.boxes = boxes
        self.turns = turns
        self.seconds: list[list[float]] = [[] for _ in boxes]

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Takes the steps."""
        if batch_idx % self.turns:
            return
        for box, seconds in zip(self.boxes, self.seconds, strict=True):
            started = time.process_time()
            box.pre_forward_process()
            box.post_forward_process(loss=box.forward_process(batch["image"], batch, {}))
            seconds.append(time.process_time() - started)


def distillation_box(
    student: LaneStudent, teacher: nn.Module, prefix: str, weight: float, options: argparse.Namespace
) -> DistillationBox:
    """Distil into a copy of the student from a copy of the teacher, whose layers' names begin with the prefix."""
    height, width = options.size
    pairs = {
        stage: {
            "student": {"io": "output", "path": f"encoder.{stage}"},
            "teacher": {"io": "output", "path": f"{prefix}{stage}"},
            "weight": (height // stride) * (width // stride),  # ATLoss averages over the cells, LGAD adds them up
        }
        for stage, stride in STRIDES.items()
    }
    attention = {"key": "ATLoss", "kwargs": {"at_pairs": pairs, "mode": "code"}}
    config = {
        "num_epochs": 1,
        "teacher": {
            "forward_proc": "forward_label",
            "forward_hook": {"output": [f"{prefix}{stage}" for stage in STRIDES]},
            "requires_grad": False,
        },
        "student": {
            "forward_proc": "forward_batch_only",
            "forward_hook": {"output": [f"encoder.{stage}" for stage in STRIDES]},
        },
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {
                "sub_terms": {
                    "task": {"criterion": TaskLoss(), "weight": 1.0},
                    "attention": {"criterion": attention, "weight": weight},
                }
            },
        },
        "optimizer": {"key": "SGD", "kwargs": {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}},
    }
    box = DistillationBox(
        deepcopy(teacher).eval(), deepcopy(student.network), {}, config, torch.device("cpu"), None, False, 1
    )
    box.pre_epoch_process(epoch=0)
    return box


@torch.no_grad()
def check_loss(box: DistillationBox, student: LaneStudent, teacher: LaneTeacher, batch: LaneBatch) -> None:
    """Compare the loss in torchdistill with that of the task plus the callback's, dropout masks and all."""
    student, teacher = deepcopy(student), deepcopy(teacher).eval()
    callback = LabelGuidedAttentionDistillation(teacher)
    torch.manual_seed(0)
    with record_features(find_layers(student, LAYERS)) as mine, record_features(find_layers(teacher, LAYERS)) as theirs:
        teacher(batch["label"])
        terms = student.loss(student(batch["image"]), batch["label"], batch["existence"])
    loss = terms["loss"] + callback.weight * callback.compute_loss(mine.maps(LAYERS), theirs.maps(LAYERS))
    torch.manual_seed(0)
    torch.testing.assert_close(box.forward_process(batch["image"], batch, {}), loss)


def main() -> None:
    options = arguments(__doc__).parse_args()
    table = Table("network", "layout", "step", "CPU s", "ratio", "quartiles", title="Time of a training step")
    for name, layout in itertools.product(options.networks, options.layouts):
        student, teacher, batch = build(name, layout, options)
        network = deepcopy(teacher.network).to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
        weight = LabelGuidedAttentionDistillation(teacher).weight
        boxes = [
            distillation_box(student, network, "encoder.", weight, options),
            distillation_box(student, network.encoder, "", weight, options),
        ]
        for box in boxes:
            check_loss(box, student, teacher, batch)
        others = Boxes(boxes, turns=2)
        ours = fit(student, teacher, batch, KINDS[:2], rounds=options.rounds + 1, others=[others])
        for kind, cells in zip(KINDS, figures([*ours, *others.seconds]), strict=True):
            table.add_row(name, layout, kind, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
