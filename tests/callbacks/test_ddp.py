import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lgad_lightning.callbacks import LabelGuidedAttentionDistillation

from .distillation_toys import (
    ADAPTED_LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    AdaptedEncoder,
    Module,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("ddp")
    script = Path(__file__).with_name("ddp_script.py")
    command = [sys.executable, str(script), str(folder / "results.pt")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "results.pt")


@pytest.mark.parametrize("name", ["automatic", "manual"])
def test_gradients_are_those_of_the_explicit_sum(results: Any, name: str):
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches(8), accumulate=2)
    plain = explicit_gradients(net, teacher, make_batches(8), accumulate=2, weight=0.0)
    assert relative_error(results[name], wanted) < 1e-5
    assert relative_error(plain, wanted) > 1e-3


def test_a_branch_that_only_the_distillation_uses(results: Any):
    net, teacher = make_pair()
    net.encoder = AdaptedEncoder(3, 4)
    for name, weights in (("adapter", [0.0, 5.0, 5.0, 5.0]), ("plain ddp", [0.0, 5.0, 5.0, 0.0])):
        wanted = explicit_gradients(net, teacher, make_batches(8), accumulate=2, weight=weights.__getitem__)
        assert relative_error(results[name], wanted) < 1e-5


def test_a_joint_teacher_is_the_same_in_all_processes(results: Any):
    first, second = results["joint"]
    assert torch.equal(first, second)
    _, teacher = make_pair()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=1e-3)
    batches = make_batches(8)
    for (_, one), (_, two) in zip(batches[::2], batches[1::2], strict=True):
        label = torch.cat([one, two])
        optimizer.zero_grad()
        F.cross_entropy(teacher(label), label).backward()
        optimizer.step()
    assert torch.allclose(first, torch.nn.utils.parameters_to_vector(teacher.parameters()), atol=1e-6)


def test_trainable_modules_are_the_same_in_all_processes(results: Any):
    first, second = results["fitnets"]
    assert torch.equal(first, second)
    net, teacher = make_pair()
    torch.manual_seed(0)
    adapters = torch.nn.ModuleList(torch.nn.Conv2d(4, 6, 1) for _ in range(2))
    start = torch.nn.utils.parameters_to_vector(adapters.parameters()).detach()
    optimizer = torch.optim.SGD([*net.parameters(), *adapters.parameters()], 0.1)
    batches = make_batches(8)
    for step, pair in enumerate(zip(batches[::2], batches[1::2], strict=True)):
        for image, label in pair:
            features, inner = net.encoder.stages(image)
            loss = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
            if 1 <= step < 3:
                targets = [target.detach() for target in teacher.encoder.stages(one_hot(label))[0]]
                hints = zip(adapters, features, targets, strict=True)
                loss = loss + sum(F.mse_loss(adapter(feature), target) for adapter, feature, target in hints)
            (loss / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    wanted = torch.nn.utils.parameters_to_vector(adapters.parameters()).detach()
    assert torch.allclose(first, wanted, atol=1e-6)
    assert not torch.allclose(start, wanted, atol=1e-3)


def test_a_masked_loss_leaves_all_processes_the_same(results: Any):
    first, second = results["mgd"]
    assert torch.equal(first, second)


def test_a_branch_that_only_the_distillation_uses_in_one_process(monkeypatch: pytest.MonkeyPatch):
    """DDP looks for unused parameters there, too."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")  # so that what Lightning sets is undone
        monkeypatch.delenv(name)
    net, teacher = make_pair()
    net.encoder = AdaptedEncoder(3, 4)
    wanted = explicit_gradients(net, teacher, make_batches(), weight=[0.0, 5.0, 5.0, 5.0].__getitem__)
    module = Module(net)
    callback = LabelGuidedAttentionDistillation(teacher, ADAPTED_LAYERS, TEACHER_LAYERS, weight=WEIGHT, start=1)
    try:
        make_trainer(callback, strategy="ddp", devices=1, use_distributed_sampler=False).fit(
            module, loader(make_batches())
        )
    finally:
        torch.distributed.destroy_process_group()
    assert relative_error(module.recorder.seen, wanted) < 1e-5
