from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from lgad_lightning.callbacks import JointLabelGuidedAttentionDistillation

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    LabelNet,
    ManualModule,
    Module,
    Recorder,
    explicit_distance,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)


def joint(teacher: nn.Module, **options: Any) -> JointLabelGuidedAttentionDistillation:
    return JointLabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, **({"weight": 5.0} | options))


def vector(network: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach()


@pytest.mark.parametrize("start", [0, 2])
def test_both_train_as_in_a_plain_pytorch_loop(start: int):
    net, teacher = make_pair()
    student_copy, teacher_copy = deepcopy(net), deepcopy(teacher)
    recorder, optimizer = Recorder(student_copy.parameters()), torch.optim.Adam(teacher_copy.parameters(), lr=1e-2)
    for step, (image, label) in enumerate(make_batches()):
        targets, inner = teacher_copy.encoder.stages(one_hot(label))
        optimizer.zero_grad()
        F.cross_entropy(F.interpolate(teacher_copy.head(inner), label.shape[-2:]), label).backward()
        optimizer.step()
        features, inner = student_copy.encoder.stages(image)
        loss = F.cross_entropy(F.interpolate(student_copy.head(inner), image.shape[-2:]), label)
        loss = loss + 5.0 * (step >= start) * explicit_distance(features, [target.detach() for target in targets])
        recorder.zero_grad()
        loss.backward()
        recorder.step()
    module = Module(net)
    adam = lambda parameters: torch.optim.Adam(parameters, lr=1e-2)  # noqa: E731
    make_trainer(joint(teacher, start=start, teacher_optimizer=adam)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, recorder.seen) < 1e-4
    assert torch.allclose(vector(teacher), vector(teacher_copy), atol=1e-6)


def written_out(accumulate: int = 1, clip: float | None = None) -> tuple[Tensor, Tensor]:
    net, teacher = make_pair()
    optimizers = [torch.optim.SGD(net.parameters(), 0.1), torch.optim.Adam(teacher.parameters(), lr=1e-2)]
    for index, (image, label) in enumerate(make_batches(4)):
        targets, inner = teacher.encoder.stages(one_hot(label))
        own = F.cross_entropy(F.interpolate(teacher.head(inner), label.shape[-2:]), label)
        features, inner = net.encoder.stages(image)
        task = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
        loss = task + own + 5.0 * explicit_distance(features, [target.detach() for target in targets])
        (loss / accumulate).backward()
        if (index + 1) % accumulate == 0:
            for part, optimizer in zip((net, teacher), optimizers, strict=True):
                if clip is not None:
                    nn.utils.clip_grad_norm_(part.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
    return vector(net), vector(teacher)


@pytest.mark.parametrize(
    ("kind", "options", "explicit"),
    [
        (Module, {"accumulate_grad_batches": 2}, {"accumulate": 2}),
        (Module, {"gradient_clip_val": 0.05}, {"clip": 0.05}),
        (ManualModule, {}, {}),
        (Module, {"plugins": "scaler"}, {}),
    ],
    ids=["accumulation", "clipping", "manual", "16-mixed"],
)
def test_the_teacher_steps_whenever_the_student_does(kind: Any, options: Any, explicit: Any):
    mixed = "plugins" in options
    if mixed:
        options = {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))]}
    net, teacher = make_pair()
    adam = lambda parameters: torch.optim.Adam(parameters, lr=1e-2)  # noqa: E731
    make_trainer(joint(teacher, teacher_optimizer=adam), **options).fit(kind(net), loader(make_batches(4)))
    for found, wanted in zip((vector(net), vector(teacher)), written_out(**explicit), strict=True):
        assert torch.allclose(found, wanted, atol=5e-3 if mixed else 1e-6)


def test_the_teachers_loss_gives_the_student_no_gradient():
    net, teacher = make_pair()
    losses = []

    class Watching(Module):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(float(outputs["loss"]))

    image, label = make_batches(1)[0]
    with torch.no_grad():
        features, inner = net.encoder.stages(image)
        task = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
        wanted = task + 5.0 * explicit_distance(features, teacher.encoder.stages(one_hot(label))[0])
    trainer = make_trainer(joint(teacher))
    trainer.fit(Watching(net), loader(make_batches(1)))
    assert losses == [pytest.approx(float(wanted), rel=1e-5)]
    assert trainer.callback_metrics["joint_lgad/teacher_loss"] > 0


def test_checkpoint_holds_teacher_and_optimiser_and_a_resumed_run_is_the_same(tmp_path: Path):
    def train(epochs: int, checkpoint: str | None = None) -> tuple[Tensor, Tensor]:
        net, teacher = make_pair()
        module = Module(net)
        checkpoints = ModelCheckpoint(tmp_path, save_last=True)
        trainer = make_trainer(joint(teacher), checkpoints, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(module, loader(make_batches()), ckpt_path=checkpoint)
        return vector(net), vector(teacher)

    whole = train(3)
    train(1)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(saved["callbacks"]["JointLabelGuidedAttentionDistillation[joint_lgad]"]) == {"modules", "optimizer"}
    assert len(saved["optimizer_states"]) == 1
    resumed = train(3, str(tmp_path / "last.ckpt"))
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_saved_teacher_is_restored_outside_a_fit(tmp_path: Path):
    net, teacher = make_pair()
    callback = joint(teacher)
    make_trainer(callback).fit(Module(net), loader(make_batches()))
    other = joint(LabelNet())
    other.load_state_dict(callback.trainable_state())
    assert torch.equal(vector(other.teacher), vector(teacher))


def test_teacher_trains_in_float32_under_mixed_precision():
    net, teacher = make_pair()
    seen = []
    teacher.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    make_trainer(joint(teacher), precision="bf16-mixed").fit(Module(net), loader(make_batches(1)))
    assert set(seen) == {torch.float32}


def test_another_loss_for_the_teacher():
    class Binary(JointLabelGuidedAttentionDistillation):
        def teacher_loss(self, output: Any, label: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(output[:, 0], (label > 0).float())

    net, teacher = make_pair()
    untouched = teacher.head.weight[1:].clone()
    make_trainer(Binary(teacher, LAYERS, TEACHER_LAYERS)).fit(Module(net), loader(make_batches()))
    assert torch.equal(teacher.head.weight[1:], untouched)


def test_a_batch_of_ignored_pixels_leaves_the_loss_as_it_is():
    image, _ = make_batches(1)[0]
    label = torch.full((2, 16, 32), 255)

    class Lenient(LabelNet):
        def forward(self, label: Tensor) -> Tensor:
            return super().forward(label.where(label < 3, 0))

    class Mean(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.net(batch[0]).mean()

    losses: list[Tensor] = []

    class Seen(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            losses.append(outputs["loss"])

    callback = JointLabelGuidedAttentionDistillation(Lenient(), LAYERS, TEACHER_LAYERS)
    make_trainer(callback, Seen()).fit(Mean(), loader([(image, label)]))
    assert torch.isfinite(losses[0])
