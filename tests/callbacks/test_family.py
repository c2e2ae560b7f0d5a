"""What each member of the family draws the student's attention to."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning.attention import attention_distance, attention_map
from lgad_lightning.callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.lane_attention import balance_lanes

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    DictModule,
    Module,
    Net,
    explicit_distance,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
)


def first_loss(callback: FeatureDistillation, net: Net, module: type[Module] = Module, batch: Any = None) -> float:
    """The unweighted distillation loss of one step."""
    trainer = make_trainer(callback)
    trainer.fit(module(deepcopy(net)), loader([make_batches(1)[0] if batch is None else batch]))
    return float(trainer.callback_metrics[f"{callback.name}/loss"])


@pytest.fixture
def students() -> tuple[Net, list[Tensor]]:
    net, _ = make_pair()
    with torch.no_grad():
        return net, net.encoder.stages(make_batches(1)[0][0])[0]


def pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[:, None], size, mode="bilinear", antialias=True)


def test_lgad_feeds_the_label(students: Any):
    net, features = students
    _, teacher = make_pair()
    image, label = make_batches(1)[0]
    targets, _ = teacher.encoder.stages(one_hot(label))
    wanted = explicit_distance(features, targets).item()
    for key in ("label", "mask"):
        callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
        batch = {"image": image, key: label}
        module = type("Plain", (DictModule,), {"training_step": lambda self, batch: self.net(batch["image"]).mean()})
        assert first_loss(callback, net, module, batch) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("kind", [LabelGuidedAttentionDistillation, JointLabelGuidedAttentionDistillation])
def test_lgad_may_balance_the_lanes_of_its_target(
    students: Any, kind: type[LabelGuidedAttentionDistillation], power: float
):
    net, features = students
    _, teacher = make_pair()
    _, label = make_batches(1)[0]
    wanted = 0.0
    for student, target in zip(features, teacher.encoder.stages(one_hot(label))[0], strict=True):
        balanced = balance_lanes(attention_map(target, power), label)
        wanted += attention_distance(attention_map(student, power), balanced).item()
    callback = kind(teacher, LAYERS, TEACHER_LAYERS, power=power, balanced=True)
    assert first_loss(callback, net) == pytest.approx(wanted, rel=1e-4)


def test_a_balance_needs_a_label_map(students: Any):
    class OfPlanes(LabelGuidedAttentionDistillation):
        def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
            return (one_hot(batch[1]),)

    net, _ = students
    callback = OfPlanes(Net(3), LAYERS, TEACHER_LAYERS, balanced=True)
    with pytest.raises(LgadError, match=r"balanced=True needs a label map \(B, H, W\)"):
        first_loss(callback, net)


def test_attention_transfer_feeds_the_image(students: Any):
    net, features = students
    torch.manual_seed(7)
    teacher = Net(width=10)
    targets, _ = teacher.encoder.stages(make_batches(1)[0][0])
    wanted = explicit_distance(features, targets).item()
    found = first_loss(AttentionTransfer(teacher, LAYERS, TEACHER_LAYERS), net)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_self_attention_looks_at_deeper_stages(students: Any):
    net, (first, second) = students
    maps = pooled(first.square().sum(1), second.shape[-2:])
    wanted = explicit_distance([maps.sqrt()], [second]).item()
    assert first_loss(SelfAttentionDistillation(LAYERS), net) == pytest.approx(wanted, rel=1e-4)
    assert first_loss(SelfAttentionDistillation(LAYERS[:1], LAYERS[1:]), net) == pytest.approx(wanted, rel=1e-4)
    assert first_loss(SelfAttentionDistillation(), net) == pytest.approx(wanted, rel=1e-4)


def test_self_attention_teaches_the_shallower_stage_alone():
    net, _ = make_pair()
    module = Module(net)
    module.training_step = lambda batch, batch_idx: 0 * net(batch[0]).mean()  # type: ignore[method-assign]
    make_trainer(SelfAttentionDistillation(LAYERS)).fit(module, loader(make_batches(1)))
    taught = dict(zip([name for name, _ in net.named_parameters()], module.recorder.seen[0], strict=True))
    assert taught["encoder.stage1.0.weight"].norm() > 0
    assert taught["encoder.stage2.0.weight"].norm() == 0


def test_self_attention_needs_two_stages():
    with pytest.raises(LgadError, match="no deeper layer after it"):
        first_loss(SelfAttentionDistillation(LAYERS[:1]), make_pair()[0])


def test_label_attention_looks_at_the_lanes(students: Any):
    net, features = students
    image, label = make_batches(1)[0]
    label[:, :4] = 255
    lanes = ((label > 0) & (label < 255)).float()
    targets = [pooled(lanes, f.shape[-2:]).sqrt() for f in features]
    wanted = explicit_distance(features, targets).item()
    batches: list[Any] = [(image, label), (image, label[:, None])]
    module = type("Plain", (Module,), {"training_step": lambda self, batch, batch_idx: self.net(batch[0]).mean()})
    for batch in batches:
        assert first_loss(LabelAttention(LAYERS), net, module, batch) == pytest.approx(wanted, rel=1e-4)


def test_label_attention_without_a_lane_is_finite(students: Any):
    net, _ = students
    image, label = make_batches(1)[0]
    module = Module(net)
    make_trainer(LabelAttention(LAYERS)).fit(module, loader([(image, torch.zeros_like(label))]))
    assert all(torch.isfinite(gradient).all() for gradient in module.recorder.seen[0])


@pytest.mark.parametrize(
    "form",
    [
        {"normalisation": "softmax"},
        {"normalisation": "l1", "distance": "kl"},
        {"normalisation": "zscore", "distance": "kl", "temperature": 2.0},
        {"power": 1.0, "reduction": "max", "size": (16, 32)},
    ],
)
def test_other_forms_train(form: dict[str, Any]):
    net, teacher = make_pair()
    module = Module(net)
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, **form)
    make_trainer(callback).fit(module, loader(make_batches()))
    assert all(torch.isfinite(gradient).all() for step in module.recorder.seen for gradient in step)
    assert first_loss(callback, make_pair()[0]) > 0


def test_channels_last_features_are_compared_as_maps(students: Any):
    class Last(torch.nn.Module):
        def __init__(self, layer: torch.nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).permute(0, 2, 3, 1)

    class First(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 3, 1, 2)

    net, _ = students
    batch = make_batches(1)[0]
    wanted = first_loss(LabelAttention(LAYERS[1:]), net, batch=batch)
    last = deepcopy(net)
    last.encoder.stage2 = torch.nn.Sequential(Last(last.encoder.stage2), First())
    found = first_loss(LabelAttention(["net.encoder.stage2.0"]), last, batch=batch)
    assert found == pytest.approx(wanted, rel=1e-6)
