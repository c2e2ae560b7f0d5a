"""Losses with parts that learn: trained as if written out, and no part of the student."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from lgad_lightning.callbacks import ChannelWiseDistillation, FitNets, MaskedGenerativeDistillation
from lgad_lightning.callbacks.trainable_parts import load_trained
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    ManualModule,
    Module,
    Net,
    loader,
    make_batches,
    make_pair,
    make_trainer,
)

LAYER, TEACHER_LAYER = ["net.encoder.stage2"], ["encoder.stage2"]


class Seeded(FitNets):
    """Starts from known weights."""

    def trainable_modules(self, student_shapes: Any, teacher_shapes: Any) -> nn.Module:
        torch.manual_seed(3)
        return super().trainable_modules(student_shapes, teacher_shapes)


def image_teacher() -> Net:
    torch.manual_seed(7)
    return Net(width=6).eval()


def fitnets(**options: Any) -> Seeded:
    return Seeded(image_teacher(), LAYER, TEACHER_LAYER, **({"weight": 2.0} | options))


class WithMomentum:
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.net.parameters(), 0.1, momentum=0.9, weight_decay=0.01)  # type: ignore[attr-defined]
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


class Student(WithMomentum, Module):
    pass


class Manual(WithMomentum, ManualModule):
    def on_train_epoch_end(self) -> None:
        self.lr_schedulers().step()  # type: ignore[union-attr]


def explicit(epochs: int = 2, accumulate: int = 1, clip: float | None = None, start: int = 0) -> tuple[Tensor, Tensor]:
    """Student and adapter in one loop of plain PyTorch."""
    net, teacher = make_pair()[0], image_teacher()
    torch.manual_seed(3)
    adapter = nn.Conv2d(4, 6, 1)
    optimizers = [torch.optim.SGD(part.parameters(), 0.1, momentum=0.9, weight_decay=0.01) for part in (net, adapter)]
    schedules = [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5) for optimizer in optimizers]
    step = 0
    for _ in range(epochs):
        for index, (image, label) in enumerate(make_batches()):
            inner = net.encoder(image)
            loss = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
            if step >= start:
                with torch.no_grad():
                    target = teacher.encoder(image)
                loss = loss + 2.0 * F.mse_loss(adapter(inner), target)
            (loss / accumulate).backward()
            if (index + 1) % accumulate == 0:
                for part, optimizer in zip((net, adapter), optimizers, strict=True):
                    if clip is not None and any(parameter.grad is not None for parameter in part.parameters()):
                        nn.utils.clip_grad_norm_(part.parameters(), clip)
                    optimizer.step()
                    optimizer.zero_grad()
                step += 1
        for schedule in schedules:
            schedule.step()
    return vector(net), vector(adapter)


def vector(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach()


def train(callback: FitNets, module: Module, **options: Any) -> tuple[Tensor, Tensor]:
    make_trainer(callback, **({"max_epochs": 2} | options)).fit(module, loader(make_batches()))
    return vector(module.net), vector(callback.trainable)


@pytest.mark.parametrize(
    ("ours", "written_out", "kind"),
    [
        ({}, {}, Student),
        ({"accumulate_grad_batches": 2}, {"accumulate": 2}, Student),
        ({"gradient_clip_val": 0.05}, {"clip": 0.05}, Student),
        ({}, {"start": 3}, Student),
        ({}, {}, Manual),
    ],
    ids=["plain", "accumulation", "clipping", "late", "manual"],
)
def test_both_train_as_in_a_plain_pytorch_loop(ours: Any, written_out: Any, kind: Any):
    callback = fitnets(start=written_out.get("start", 0))
    found = train(callback, kind(make_pair()[0]), **ours)
    for one, other in zip(found, explicit(**written_out), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_16_mixed_and_a_step_that_the_scaler_skips():
    def run(scale: float) -> Tensor:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        found = train(fitnets(), Student(make_pair()[0]), plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
        assert scaler.get_scale() == (scale if scale < 1e6 else pytest.approx(scaler.get_scale()))
        assert all(torch.isfinite(one).all() for one in found)
        return found[1]

    assert (run(1024.0) - explicit()[1]).norm() < 0.02 * explicit()[1].norm()
    run(2.0**40)  # the first steps overflow


@pytest.mark.parametrize("kind", [FitNets, MaskedGenerativeDistillation, ChannelWiseDistillation])
def test_true_double_precision_makes_the_adapter_in_float64(kind: Any):
    callback = kind(image_teacher(), LAYER, TEACHER_LAYER)
    make_trainer(callback, precision="64-true").fit(Module(make_pair()[0]), loader(make_batches(2)))
    assert all(parameter.dtype == torch.float64 for parameter in callback.trainable.parameters())


def test_true_half_precision_keeps_the_adapter_in_float32():
    callback = fitnets()
    batches = [(image.bfloat16(), label) for image, label in make_batches()]
    make_trainer(callback, precision="bf16-true").fit(Student(make_pair()[0]), loader(batches))
    assert {parameter.dtype for parameter in callback.trainable.parameters()} == {torch.float32}


def test_a_resumed_run_is_the_same_and_the_checkpoint_is_the_plain_students(tmp_path: Path):
    def run(epochs: int, folder: str, checkpoint: Any = None) -> tuple[Tensor, Tensor]:
        callback, module = fitnets(), Student(make_pair()[0])
        saving = ModelCheckpoint(tmp_path / folder, save_last=True)
        trainer = make_trainer(callback, saving, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(module, loader(make_batches()), ckpt_path=checkpoint)
        return vector(module.net), vector(callback.trainable)

    whole = run(3, "whole")
    run(1, "part")
    resumed = run(3, "resumed", tmp_path / "part" / "last.ckpt")
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))

    saved = torch.load(tmp_path / "part" / "last.ckpt", weights_only=True)
    plain = Student(make_pair()[0])
    plain.load_state_dict(saved["state_dict"], strict=True)
    assert [len(group["params"]) for group in saved["optimizer_states"][0]["param_groups"]] == [
        len(list(plain.parameters()))
    ]
    make_trainer(max_epochs=2).fit(plain, loader(make_batches()), ckpt_path=tmp_path / "part" / "last.ckpt")


def test_trainable_modules_are_not_in_the_student():
    module, callback = Student(make_pair()[0]), fitnets()
    keys = list(module.state_dict())
    train(callback, module)
    assert list(module.state_dict()) == keys
    assert not any(inner._forward_hooks for inner in module.modules())


def test_the_student_draws_the_same_random_numbers():
    drawn: list[Tensor] = []

    class Drawing(Student):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            drawn.append(torch.rand(3))
            return super().training_step(batch, batch_idx)

    for callbacks in ([], [fitnets()]):
        net = make_pair()[0]
        torch.manual_seed(11)
        make_trainer(*deepcopy(callbacks)).fit(Drawing(net), loader(make_batches()))
    assert all(torch.equal(one, other) for one, other in zip(drawn[:4], drawn[4:], strict=True))


def test_an_optimiser_that_cannot_be_copied_is_refused():
    class Odd(Module):
        def configure_optimizers(self) -> Any:
            return torch.optim.LBFGS(self.parameters())

    with pytest.raises(LgadError, match=r"LBFGS.*override trainable_optimizer"):
        train(fitnets(), Odd(make_pair()[0]))


@pytest.mark.parametrize("layer", ["net.encoder.stage2", "net.encoder.stage2.2"])
def test_the_optimiser_of_the_distilled_layer_is_followed(layer: str):
    """Also if the layer is a ReLU, which has no parameters."""

    class Two(ManualModule):
        def configure_optimizers(self) -> Any:
            self.other = nn.Linear(4, 1)
            return [torch.optim.SGD(part.parameters(), rate) for part, rate in ((self.other, 9.0), (self.net, 0.01))]

        def training_step(self, batch: Any, batch_idx: int) -> None:
            other, own = self.optimizers()  # type: ignore[misc]
            other.step()
            own.zero_grad()
            self.manual_backward(self.net(batch[0]).square().mean())
            own.step()

    class Spy(FitNets):
        def trainable_optimizer(self, parameters: Any, student_optimizer: Any) -> Any:
            followed.append(student_optimizer.param_groups[0]["lr"])
            return super().trainable_optimizer(parameters, student_optimizer)

    followed: list[float] = []
    make_trainer(Spy(image_teacher(), [layer], TEACHER_LAYER)).fit(Two(make_pair()[0]), loader(make_batches()))
    assert followed == [0.01]


def test_a_restart_leaves_nothing_of_the_batches_before():
    """As after a finder of the batch size, whose last batch was too large for the memory."""

    class Restarted(Seeded):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 1:
                (weight, _) = self.trainable.parameters()
                weight.grad = torch.ones_like(weight)
                self._trainable.restart()
                assert weight.grad is None

    callback = Restarted(image_teacher(), LAYER, TEACHER_LAYER)
    make_trainer(callback).fit(Student(make_pair()[0]), loader(make_batches()))


def test_the_settings_are_those_of_the_group_of_the_distilled_layer():
    class Grouped(Module):
        def configure_optimizers(self) -> Any:
            head, encoder = self.net.head, self.net.encoder
            groups = [
                {"params": list(part.named_parameters()), "lr": rate} for part, rate in ((head, 0.0), (encoder, 0.1))
            ]
            return torch.optim.SGD(groups)

    callback = Seeded(image_teacher(), LAYER, TEACHER_LAYER)
    make_trainer(callback).fit(Grouped(make_pair()[0]), loader(make_batches()))
    state = callback.trainable_state()
    assert state is not None
    (group,) = state["optimizer"]["param_groups"]
    assert group["lr"] == 0.1
    assert not any("encoder" in name for name in group.get("param_names", []))


def test_a_run_that_is_resumed_with_other_layers_is_told_what_to_do(tmp_path: Path):
    saving = ModelCheckpoint(tmp_path, save_last=True)
    make_trainer(fitnets(), saving, enable_checkpointing=True).fit(Student(make_pair()[0]), loader(make_batches()))
    other = Seeded(image_teacher(), ["net.encoder.stage1", *LAYER], ["encoder.stage1", *TEACHER_LAYER])
    with pytest.raises(LgadError, match="resume with the teacher, the layers and the optimiser of that training"):
        make_trainer(other, max_epochs=3).fit(
            Student(make_pair()[0]), loader(make_batches()), ckpt_path=tmp_path / "last.ckpt"
        )


def test_the_state_of_an_optimiser_of_another_class_is_refused():
    weights = [nn.Parameter(torch.ones(2))]
    adam, sgd = torch.optim.Adam(weights), torch.optim.SGD(weights, 0.1, momentum=0.9)
    with pytest.raises(LgadError, match="state of another SGD"):
        load_trained(sgd, adam.state_dict())
    load_trained(torch.optim.Adam(weights), adam.state_dict())
