"""What docs/other_loops.md tells people to write runs, and trains as if written out."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conftest import CHECKOUT

from .callbacks.distillation_toys import LabelNet, Net, explicit_distance, make_batches, make_pair, one_hot

TEXT = (CHECKOUT / "docs" / "other_loops.md").read_text()
PLAIN, TEACHER, FABRIC, TRAINER, CALL = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def vector(network: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach()


def written_out(net: Net, teacher: LabelNet, batches: Any) -> Tensor:
    net = deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for image, label in batches:
        features, inner = net.encoder.stages(image)
        with torch.no_grad():
            targets = teacher.encoder.stages(one_hot(label))[0]
        loss = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
        optimizer.zero_grad()
        (loss + 0.3 * explicit_distance(features, targets)).backward()
        optimizer.step()
    return vector(net)


@pytest.mark.parametrize("page", [PLAIN, FABRIC], ids=["plain", "fabric"])
def test_loops(page: str):
    student, teacher = make_pair()
    wanted = written_out(student, teacher, make_batches())
    imports = "\n".join(line for line in PLAIN.splitlines() if line.startswith(("import", "from", "names")))
    exec(imports + "\n" + page, {"student": student, "teacher": teacher, "batches": make_batches()})
    assert torch.allclose(vector(student), wanted, atol=1e-6)


def test_the_teacher_learns():
    _, teacher = make_pair()
    batches = make_batches() * 50
    names: dict[str, Any] = {"teacher": teacher, "batches": batches}
    before = F.cross_entropy(teacher(batches[0][1]), batches[0][1])
    exec("import torch\nimport torch.nn.functional as F\n" + TEACHER, names)
    assert names["loss"] < before


@pytest.mark.parametrize(
    "target", ["balance_lanes(attention_map(its), label)", "((label > 0) & (label != 255)).float()"]
)
def test_other_targets(target: str):
    assert f"`{target}`" in TEXT
    student, teacher = make_pair()
    before = vector(student)
    page = "from lgad_lightning.lane_attention import balance_lanes\n" + PLAIN.replace("attention_map(its)", target)
    names: dict[str, Any] = {"student": student, "teacher": teacher, "batches": make_batches()}
    exec(page, names)
    assert torch.isfinite(names["loss"])
    assert not torch.equal(vector(student), before)


@pytest.mark.zoo
def test_the_trainer_of_transformers(tmp_path: Path):
    transformers = pytest.importorskip("transformers", reason="needs transformers (the zoo session has it)")
    pytest.importorskip("accelerate", reason="needs accelerate (the zoo session has it)")

    class Student(Net):
        def forward(self, pixel_values: Tensor, labels: Tensor) -> Any:  # type: ignore[override]
            logits = super().forward(pixel_values)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    net, teacher = make_pair()
    student = Student()
    student.load_state_dict(net.state_dict())
    wanted = written_out(net, teacher, make_batches())
    before, _, _ = PLAIN.partition("optimizer =")
    dataset = [
        {"pixel_values": image, "labels": label}
        for images, labels in make_batches()
        for image, label in zip(images, labels, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=2, optim="sgd", learning_rate=0.1,
        lr_scheduler_type="constant", max_grad_norm=0.0, report_to=[], save_strategy="no", use_cpu=True,
        remove_unused_columns=False,
    )  # fmt: skip
    names = {"student": student, "teacher": teacher, "dataset": dataset, "training_arguments": arguments}
    call = CALL.replace("AttentionTrainer(", "InOrder(")
    in_order = """
class InOrder(AttentionTrainer):
    def _get_train_sampler(self, *args):
        return torch.utils.data.SequentialSampler(self.train_dataset)
"""
    exec(before + TRAINER + in_order + call, names)
    assert torch.allclose(vector(student), wanted, atol=1e-6)
