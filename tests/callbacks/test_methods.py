"""Each method's gradients are those of an implementation written out independently."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from lgad_lightning.callbacks import (
    AttentionTransfer,
    ChannelWiseDistillation,
    FeatureDistillation,
    FitNets,
    InterRegionAffinityDistillation,
    LabelGuidedAttentionDistillation,
    LogitsDistillation,
    MaskedGenerativeDistillation,
    SeedEveryBatch,
    SimilarityPreservingDistillation,
)
from lgad_lightning.callbacks.inter_region import _TINY, _affinities
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    ManualModule,
    Module,
    Net,
    explicit_distance,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)

WEIGHT = 3.0
Loss = Callable[[list[Tensor], list[Tensor], Any, Tensor], Tensor]


def large_teacher() -> Net:
    """Wider than the student, and its second stage of another size."""
    torch.manual_seed(7)
    teacher = Net(width=6)
    teacher.encoder.stage2[0].stride = (1, 1)
    return teacher.eval()


def hints(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    total = torch.zeros(())
    for part, s, t in zip(parts, student, teacher, strict=True):
        adapted = torch.einsum("oi,bihw->bohw", part.weight[:, :, 0, 0], s) + part.bias.view(-1, 1, 1)
        target = F.interpolate(t, s.shape[-2:], mode="bilinear", antialias=True)
        total = total + ((adapted - target) ** 2).sum() / target.numel()
    return total


def channels(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    total = torch.zeros(())
    for part, s, t in zip(parts, student, teacher, strict=True):
        t = F.interpolate(t, s.shape[-2:], mode="bilinear", antialias=True)
        for image, other in zip(part(s), t, strict=True):
            for ours, its in zip(image, other, strict=True):
                p, q = ((x.flatten() / 4).exp() for x in (its, ours))
                p, q = p / p.sum(), q / q.sum()
                total = total + 16 * (p * (p / q).log()).sum() / (len(s) * t.shape[1])
    return total


def similarity(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    total = torch.zeros(())
    for pair in zip(student, teacher, strict=True):
        rows = []
        for features in pair:
            gram = torch.stack([torch.stack([(a * b).sum() for b in features]) for a in features])
            rows.append(gram / gram.square().sum(1, keepdim=True).sqrt())
        total = total + (rows[0] - rows[1]).square().sum() / len(pair[0]) ** 2
    return total


def generated(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    torch.manual_seed(5)
    total = torch.zeros(())
    for adapter, generator, s, t in zip(*parts, student, teacher, strict=True):
        shown = (torch.rand(len(s), 1, *s.shape[-2:]) >= 0.75).float()
        first, _, second = generator
        inner = F.conv2d(adapter(s) * shown, first.weight, first.bias, padding=1).clamp_min(0)
        out = F.conv2d(inner, second.weight, second.bias, padding=1)
        target = F.interpolate(t, s.shape[-2:], mode="bilinear", antialias=True)
        total = total + (out - target).square().mean()
    return total


def regions(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    total = torch.zeros(())
    for s, t in zip(student, teacher, strict=True):
        summed, count = torch.zeros(()), 0
        for image in range(len(s)):
            moments = []
            for features in (s[image], t[image]):
                per_class: list[Any] = []
                for number in range(3):
                    plane = F.max_pool2d((label[image] == number).float()[None, None], 5, 1, 2)
                    if not plane.any():
                        per_class.append(None)
                        continue
                    inside = F.adaptive_max_pool2d(plane, features.shape[-2:])[0, 0] > 0
                    cells = features[:, inside]
                    mean = cells.mean(1)
                    variance = (cells - mean[:, None]).square().mean(1)
                    skewness = (cells - mean[:, None]).pow(3).mean(1) / (variance + 1e-6).pow(1.5)
                    per_class.append([mean, variance, skewness])
                moments.append(per_class)
            ours, its = moments
            for moment in range(3):
                for i in range(3):
                    for j in range(3):
                        if ours[i] is None or ours[j] is None:
                            continue
                        a, b = (F.cosine_similarity(m[i][moment], m[j][moment], 0) for m in (ours, its))
                        summed, count = summed + (a - b) ** 2, count + 1
        total = total + summed / count
    return total


def soft_classes(student: list[Tensor], teacher: list[Tensor], parts: Any, label: Tensor) -> Tensor:
    (ours,), (its,) = student, teacher
    p, q = (x.div(2).exp() / x.div(2).exp().sum(1, keepdim=True) for x in (its, ours))
    return 4 * (p * (p.log() - q.log())).sum() / (len(ours) * ours[0, 0].numel())


class Seeded:
    """Mixed in: known weights of what is trained, and known draws."""

    def trainable_modules(self, *shapes: Any) -> Any:
        torch.manual_seed(3)
        return super().trainable_modules(*shapes)  # type: ignore[misc]

    def compute_loss(self, *features: Any) -> Tensor:
        torch.manual_seed(5)
        return super().compute_loss(*features)  # type: ignore[misc]


def seeded(kind: type[FeatureDistillation], **options: Any) -> Any:
    return type(kind.__name__, (Seeded, kind), {})(large_teacher(), **({"weight": WEIGHT} | options))


FEATURES: list[tuple[type[FeatureDistillation], Loss]] = [
    (FitNets, hints),
    (ChannelWiseDistillation, channels),
    (SimilarityPreservingDistillation, similarity),
    (MaskedGenerativeDistillation, generated),
    (InterRegionAffinityDistillation, regions),
]


def striped() -> tuple[Tensor, Tensor]:
    """Two images with a lane each, of different classes."""
    image, label = make_batches(1)[0]
    label.zero_()
    label[0, :, 12:18] = 1
    label[1, 6:, 24:] = 2
    return image, label


@pytest.mark.parametrize(("kind", "written_out"), FEATURES)
def test_gradients_on_features(kind: type[FeatureDistillation], written_out: Loss):
    net, _ = make_pair()
    image, label = striped()
    callback, module = seeded(kind, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS), Module(deepcopy(net))
    make_trainer(callback).fit(module, loader([(image, label)]))
    parts = None
    if callback._trainable is not None:
        shapes = [f.shape for f in net.encoder.stages(image)[0]], [f.shape for f in targets(image)]
        parts = callback.trainable_modules(*shapes)
    features, inner = net.encoder.stages(image)
    loss = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
    learnt = [] if parts is None else list(parts.parameters())
    theirs = WEIGHT * written_out(features, targets(image), parts, label)
    ours = torch.autograd.grad(loss + theirs, [*net.parameters(), *learnt], retain_graph=True)
    plain = torch.autograd.grad(loss, list(net.parameters()))
    assert relative_error(module.recorder.seen, [list(ours[: len(plain)])]) < 1e-4
    assert relative_error([list(plain)], [list(ours[: len(plain)])]) > 1e-2
    for parameter, gradient, after in zip(learnt, ours[len(plain) :], trained(callback), strict=True):
        assert torch.allclose(after, parameter - 0.1 * gradient, atol=1e-5)


@pytest.mark.parametrize("kind", [AttentionTransfer, *(kind for kind, _ in FEATURES)])
def test_the_loss_of_each_pair_is_logged(kind: type[FeatureDistillation], tmp_path: Path):
    net, _ = make_pair()
    callback = seeded(kind, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    trainer = make_trainer(callback, logger=CSVLogger(tmp_path), log_every_n_steps=1)
    trainer.fit(Module(net), loader([striped()]))
    logged = {name: float(value) for name, value in trainer.logged_metrics.items()}
    losses = [logged[f"{callback.name}/loss/{layer}"] for layer in LAYERS]
    assert sum(losses) == pytest.approx(logged[f"{callback.name}/loss"])
    assert all(loss > 0 for loss in losses)


def trained(callback: Any) -> list[Tensor]:
    return [] if callback._trainable is None else list(callback.trainable.parameters())


def targets(image: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return large_teacher().encoder.stages(image)[0]


def test_a_single_logit_is_that_of_two_classes():
    ours, its = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found = LogitsDistillation(nn.Conv2d(3, 1, 1), ["net"], temperature=2.0).compute_loss([ours], [its])
    p, q = (its / 2).sigmoid(), (ours / 2).sigmoid()
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    torch.testing.assert_close(found, 4 * divergence.mean())


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("kind", "options", "written_out"),
    [
        (LogitsDistillation, {"temperature": 2.0}, soft_classes),
        (
            ChannelWiseDistillation,
            {"teacher_layers": [""]},
            lambda s, t, _, label: channels(s, t, [nn.Identity()], label),
        ),
    ],
)
def test_gradients_on_the_whole_output(kind: Any, options: Any, written_out: Loss, wrapped: bool):
    class Wrapping(Net):
        def forward(self, x: Tensor) -> Any:
            return {"out": super().forward(x)} if wrapped else super().forward(x)

    class Taking(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            output = self.net(batch[0])
            return F.cross_entropy(output["out"] if wrapped else output, batch[1])

    net, _ = make_pair()
    student = Wrapping()
    student.load_state_dict(net.state_dict())
    image, label = make_batches(1)[0]
    module = Taking(student)
    make_trainer(kind(large_teacher(), ["net"], weight=WEIGHT, **options)).fit(module, loader([(image, label)]))
    logits = net(image)
    with torch.no_grad():
        target = large_teacher()(image)
    loss = F.cross_entropy(logits, label) + WEIGHT * written_out([logits], [target], None, label)
    wanted = torch.autograd.grad(loss, list(net.parameters()))
    assert relative_error(module.recorder.seen, [list(wanted)]) < 1e-4


def test_a_larger_teacher_and_a_label_teacher_at_once():
    net, label_teacher = make_pair()
    image, label = make_batches(1)[0]
    module = Module(deepcopy(net))
    lgad = LabelGuidedAttentionDistillation(label_teacher, LAYERS, TEACHER_LAYERS, weight=WEIGHT)
    soft = LogitsDistillation(large_teacher(), ["net"], weight=2.0, temperature=2.0)
    make_trainer(lgad, soft).fit(module, loader([(image, label)]))
    features, inner = net.encoder.stages(image)
    logits = F.interpolate(net.head(inner), image.shape[-2:])
    with torch.no_grad():
        labelled, whole = label_teacher.encoder.stages(one_hot(label))[0], large_teacher()(image)
    loss = F.cross_entropy(logits, label) + WEIGHT * explicit_distance(features, labelled)
    loss = loss + 2.0 * soft_classes([logits], [whole], None, label)
    wanted = torch.autograd.grad(loss, list(net.parameters()))
    assert relative_error(module.recorder.seen, [list(wanted)]) < 1e-4


def test_ignored_pixels_are_in_no_region():
    image, label = striped()
    net, _ = make_pair()
    gradients = []
    for void in (255, 17):
        label = label.clone()
        label[:, :8] = void
        options = {"ignore_index": void, "student_layers": LAYERS, "teacher_layers": TEACHER_LAYERS}
        module = Module(deepcopy(net))
        module.training_step = lambda batch, batch_idx, net=module.net: net(batch[0]).mean()  # type: ignore[method-assign]
        make_trainer(seeded(InterRegionAffinityDistillation, **options)).fit(module, loader([(image, label)]))
        gradients.append(module.recorder.seen)
    assert relative_error(*gradients) == 0


@pytest.mark.parametrize("kind", [kind for kind, _ in FEATURES])
def test_no_tensor_of_a_batch_is_kept_after_the_fit(kind: type[FeatureDistillation]):
    callback = seeded(kind, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    make_trainer(callback).fit(Module(make_pair()[0]), loader([striped()]))
    assert not [name for name, value in vars(callback).items() if isinstance(value, Tensor)]


def test_an_image_without_known_pixels_has_no_regions():
    image, label = striped()
    module = Module(make_pair()[0])
    module.training_step = lambda batch, batch_idx: module.net(batch[0]).mean()  # type: ignore[method-assign]
    trainer = make_trainer(
        seeded(InterRegionAffinityDistillation, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    )
    trainer.fit(module, loader([(image, torch.full_like(label, 255))]))
    assert trainer.callback_metrics["inter_region/loss"] == 0


@pytest.mark.parametrize("name", ["", "head"])
def test_a_layer_may_be_named_by_one_string(name: str):
    net, _ = make_pair()
    teacher = large_teacher()
    wanted = "head" if name and hasattr(teacher, "head") else ""
    trainer = make_trainer(LogitsDistillation(teacher, "net", wanted))
    trainer.fit(Module(net), loader(make_batches(1)))
    assert trainer.callback_metrics["logits/loss"] > 0


def test_a_last_batch_of_one_image_has_nothing_to_compare():
    image, label = make_batches(1)[0]
    callback = seeded(SimilarityPreservingDistillation, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    trainer = make_trainer(callback)
    trainer.fit(Module(make_pair()[0]), loader([(image, label), (image[:1], label[:1])]))
    assert trainer.callback_metrics["similarity/loss"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("start", [0, 2])
def test_a_batch_of_one_image_is_refused(start: int):
    image, label = make_batches(1)[0]
    layers: dict[str, Any] = {"student_layers": LAYERS, "teacher_layers": TEACHER_LAYERS}
    callback = seeded(SimilarityPreservingDistillation, start=start, **layers)
    with pytest.raises(LgadError, match="give batches of two or more"):
        make_trainer(callback).fit(Module(make_pair()[0]), loader([(image[:1], label[:1])]))


def test_an_impossible_margin_is_refused():
    with pytest.raises(LgadError, match="margin=-1 must be at least 0"):
        InterRegionAffinityDistillation(make_pair()[0], LAYERS, TEACHER_LAYERS, margin=-1)


def test_a_share_that_hides_everything_is_refused():
    with pytest.raises(LgadError, match=r"masked=1\.0: give a share"):
        MaskedGenerativeDistillation(large_teacher(), masked=1.0)


def run(module: Module, tmp_path: Path, checkpoint: Any = None, **options: Any) -> tuple[Tensor, Tensor]:
    callback = MaskedGenerativeDistillation(large_teacher(), LAYERS, TEACHER_LAYERS, weight=WEIGHT, start=1, end=6)
    saving = ModelCheckpoint(tmp_path, save_last=True)
    options = {"enable_checkpointing": True, "max_epochs": 2} | options
    torch.manual_seed(0)
    trainer = make_trainer(callback, SeedEveryBatch(), saving, **options)
    trainer.fit(module, loader(make_batches()), ckpt_path=checkpoint)
    parameters = (module.net.parameters(), callback.trainable.parameters())
    return tuple(nn.utils.parameters_to_vector(part).detach() for part in parameters)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Module, ManualModule])
def test_a_resumed_masked_training_is_the_same(kind: Any, tmp_path: Path):
    whole = run(kind(make_pair()[0]), tmp_path / "whole", max_epochs=3)
    run(kind(make_pair()[0]), tmp_path / "part", max_epochs=1)
    resumed = run(kind(make_pair()[0]), tmp_path / "resumed", tmp_path / "part" / "last.ckpt", max_epochs=3)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_masked_training_in_16_mixed_with_accumulation_and_clipping(tmp_path: Path):
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}
    wanted = run(Module(make_pair()[0]), tmp_path, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    found = run(Module(make_pair()[0]), tmp_path, plugins=[MixedPrecision("16-mixed", "cpu", scaler)], **options)
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_similarities_are_compared_in_float32(dtype: torch.dtype):
    callback = seeded(SimilarityPreservingDistillation, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    student, teacher = (torch.rand(2, 64, 36, 100, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    wanted = callback.compute_loss([student], [teacher])
    with torch.autocast("cpu", dtype):
        found = callback.compute_loss([student], [teacher])
    torch.testing.assert_close(found, wanted)


def test_a_region_of_one_cell_does_not_vary():
    callback = seeded(InterRegionAffinityDistillation, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS, margin=0)
    label = torch.zeros(1, 16, 32, dtype=torch.long)
    label[0, :2, :2] = 1  # within one cell of the map
    features = torch.rand(1, 8, 4, 8, generator=torch.Generator().manual_seed(0))
    callback.teacher_inputs({"image": torch.zeros(1, 3, 16, 32), "label": label})
    assert callback.compute_loss([features], [features * (1 + 1e-6)]) < 1e-9


def test_the_teacher_sees_the_images_as_they_came():
    class Spoiling(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            batch[0].mul_(0)
            return super().training_step(batch, batch_idx)

    class Seeing(Net):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            assert image.any()
            return super().forward(image)

    callback = seeded(AttentionTransfer, student_layers=LAYERS, teacher_layers=TEACHER_LAYERS)
    callback.teacher = Seeing(width=6).eval()
    make_trainer(callback).fit(Spoiling(make_pair()[0]), loader(make_batches(1)))


@pytest.mark.parametrize(("mean", "deviation"), [(1, 0.1), (20, 0.1), (1, 0.001)])
def test_affinities_of_features_that_vary_little_have_all_their_digits(mean: float, deviation: float):
    """Against the definition, in float64."""
    features = mean + deviation * torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    planes = torch.zeros(2, 3, 8, 8)
    planes[:, 0], planes[:, 1, :, :3], planes[:, 2, 2:5] = 1, 1, 1
    found = _affinities(features, planes)
    cells, regions = features.double().flatten(2), planes.flatten(2).bool()
    moments: list[list[Tensor]] = [[], [], []]
    for image, parts in zip(cells, regions, strict=True):
        for part in parts:
            inside = image[:, part]
            centred = inside - inside.mean(1, keepdim=True)
            variance = centred.square().mean(1)
            skewness = centred.pow(3).mean(1) / (variance + _TINY).pow(1.5)
            for kept, one in zip(moments, (inside.mean(1), variance, skewness), strict=True):
                kept.append(one)
    for one, moment in zip(found, moments, strict=True):
        vectors = F.normalize(torch.stack(moment).view(2, 3, -1), dim=2)
        assert torch.allclose(one.double(), vectors @ vectors.transpose(1, 2), atol=1e-4)
