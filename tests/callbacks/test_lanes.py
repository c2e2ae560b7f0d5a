"""The package's own modules under its own callbacks."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lgad_lightning import ENet, ERFNet, LabelGuidedAttentionDistillation, LaneStudent, LaneTeacher
from lgad_lightning.callbacks import draw_batch
from lgad_lightning.callbacks.frozen_teacher import FrozenTeacher
from lgad_lightning.lanes import CULaneDecoder
from lgad_lightning.metrics import CULaneF1

from .distillation_toys import loader, make_trainer

SIZE = (32, 64)
STAGES = [f"network.encoder.stage{number}" for number in (1, 2, 3)]


def make_batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 5, (2, *SIZE), generator=generator)
    label[:, :4] = 255
    return {
        "image": torch.randn(2, 3, *SIZE, generator=generator),
        "label": label,
        "existence": torch.ones(2, 4),
        "name": ["a.jpg", "b.jpg"],
    }


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_student_and_teacher_of_two_kinds_are_paired_by_themselves(precision: Any):
    student = LaneStudent(
        ENet(input_size=SIZE), CULaneDecoder(), CULaneF1(), optimizer=partial(torch.optim.SGD, lr=0.1)
    )
    teacher = LaneTeacher(ERFNet(in_channels=5, input_size=SIZE))
    callback = LabelGuidedAttentionDistillation(teacher)
    trainer = make_trainer(callback, precision=precision, log_every_n_steps=1)
    trainer.fit(student, loader([make_batch()] * 2))
    pairs = {key.removeprefix("lgad/loss/") for key in trainer.callback_metrics if key.startswith("lgad/loss/")}
    assert pairs == set(STAGES)
    assert all(0 < float(trainer.callback_metrics[f"lgad/loss/{stage}"]) < 2 for stage in STAGES)
    assert draw_batch(student, make_batch(), [callback]).ndim == 3


@pytest.mark.parametrize("network", [ENet, ERFNet])
def test_the_teachers_batch_norms_are_folded(network: Any):
    torch.manual_seed(0)
    teacher = LaneTeacher(network(in_channels=5, input_size=SIZE)).eval()
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    label = make_batch()["label"]
    wanted: list[torch.Tensor] = []
    stages = [teacher.get_submodule(name) for name in STAGES]
    hooks = [stage.register_forward_hook(lambda *args: wanted.append(args[2])) for stage in stages]
    with torch.no_grad():
        teacher(label)
    for hook in hooks:
        hook.remove()
    frozen = FrozenTeacher(teacher, STAGES)
    features = frozen(label)
    assert all((f - w).norm() < 1e-4 * w.norm() for f, w in zip(features, wanted, strict=True))
    left = sum(isinstance(module, nn.BatchNorm2d) for module in frozen._network.network.encoder.modules())
    assert left <= 3  # those behind a concatenation
