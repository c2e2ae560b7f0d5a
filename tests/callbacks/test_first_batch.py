"""What is said and refused at the first batch, and layers whose channels do not come first."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgad_lightning.callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
    draw_batch,
    first_batch,
)
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    Module,
    Net,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    relative_error,
)


class ChannelsLast(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).permute(0, 2, 3, 1)


class Tokens(ChannelsLast):
    """With a class token in front."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = super().forward(x).flatten(1, 2)
        return torch.cat([100 * torch.ones_like(tokens[:, :1]), tokens], 1)


class ChannelsFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 1:].unflatten(1, (4, 8)) if x.ndim == 3 else x
        return x.permute(0, 3, 1, 2)


def otherwise(net: Any, kind: type[nn.Module]) -> Any:
    """The same network, whose layer `stage2.0` has its channels elsewhere."""
    net = deepcopy(net)
    net.encoder.stage2 = nn.Sequential(kind(net.encoder.stage2), ChannelsFirst())
    return net


def fit(callback: FeatureDistillation, net: nn.Module, **options: Any) -> Any:
    module = Module(net)
    trainer = make_trainer(callback, **options)
    trainer.fit(module, loader(make_batches(2)))
    return module.recorder.seen, trainer.callback_metrics


@pytest.mark.parametrize("kind", [ChannelsLast, Tokens])
@pytest.mark.parametrize(
    "family",
    [LabelGuidedAttentionDistillation, AttentionTransfer, JointLabelGuidedAttentionDistillation],
)
def test_both_sides_are_compared_as_the_maps_they_are(kind: type[nn.Module], family: Any):
    net, teacher = make_pair()
    teacher = teacher if family is not AttentionTransfer else Net(width=6)
    wanted, _ = fit(family(deepcopy(teacher), LAYERS[1:], TEACHER_LAYERS[1:]), deepcopy(net))
    names = [LAYERS[1] + ".0"], [TEACHER_LAYERS[1] + ".0"]
    found, _ = fit(family(otherwise(teacher, kind), *names), otherwise(net, kind))
    assert relative_error(found, wanted) < 1e-4


@pytest.mark.parametrize("kind", [ChannelsLast, Tokens])
def test_the_gradient_ratio_does_not_depend_on_the_layout(kind: type[nn.Module]):
    net, _ = make_pair()
    _, wanted = fit(LabelAttention(LAYERS[1:]), deepcopy(net), log_every_n_steps=1)
    _, found = fit(LabelAttention([LAYERS[1] + ".0"]), otherwise(net, kind), log_every_n_steps=1)
    ratio = found[f"label_attention/gradient_ratio/{LAYERS[1]}.0"]
    assert ratio == pytest.approx(float(wanted[f"label_attention/gradient_ratio/{LAYERS[1]}"]), rel=1e-3)


@pytest.mark.parametrize("kind", [ChannelsLast, Tokens])
def test_pictures_show_the_same_maps(kind: type[nn.Module]):
    net, teacher = make_pair()
    batch = make_batches(1)[0]
    names = [LAYERS[1] + ".0"], [TEACHER_LAYERS[1] + ".0"]
    pictures = [
        draw_batch(Module(net), batch, [LabelGuidedAttentionDistillation(teacher, LAYERS[1:], TEACHER_LAYERS[1:])]),
        draw_batch(
            Module(otherwise(net, kind)),
            batch,
            [LabelGuidedAttentionDistillation(otherwise(teacher, kind), *names)],
        ),
    ]
    first, second = (picture[40:].astype(int) for picture in pictures)  # without the titles
    assert first.shape == second.shape
    assert np.abs(first - second).max() <= 1


def test_tokens_that_fit_no_grid_are_refused_by_name_until_it_is_given():
    class Registers(Tokens):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([super().forward(x), torch.zeros(len(x), 4, 4)], 1).roll(4, 1)

    class Back(ChannelsFirst):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x[:, 4:])

    net, teacher = make_pair()
    net.encoder.stage2 = nn.Sequential(Registers(net.encoder.stage2), Back())
    names = [LAYERS[1] + ".0"], TEACHER_LAYERS[1:]
    with pytest.raises(LgadError, match=r"'net\.encoder\.stage2\.0' of the student is \(2, 37, 4\).*layout="):
        fit(LabelGuidedAttentionDistillation(teacher, *names), deepcopy(net))
    fit(LabelGuidedAttentionDistillation(teacher, *names, layout=(4, 8)), net)


class Normed(nn.Module):
    """A stage as SegFormer's: its last layer is a norm over the channels."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_automatic_pairing_takes_the_layer_before_the_norm():
    net, teacher = make_pair()
    net.encoder.stage2 = Normed(net.encoder.stage2)
    net.encoder.stage1 = nn.Sequential(net.encoder.stage1)
    assert LabelGuidedAttentionDistillation(teacher).layer_pairs(Module(net)) == [
        ("net.encoder.stage1", "encoder.stage1"),
        ("net.encoder.stage2.layer", "encoder.stage2"),
    ]
    _, figures = fit(LabelGuidedAttentionDistillation(teacher, weight=5.0), net, log_every_n_steps=1)
    assert figures["lgad/gradient_ratio/net.encoder.stage2.layer"] > 1e-2


def test_the_gradient_ratio_is_that_below_the_norm_and_the_warning_names_the_layer_before_it():
    net, teacher = make_pair()
    net.encoder.stage2 = Normed(net.encoder.stage2[:2])  # without the ReLU no cell is all zeros
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS[1:], TEACHER_LAYERS[1:], weight=5.0)
    with pytest.warns(UserWarning, match=r"before the norm, 'net\.encoder\.stage2\.layer', in student_layers"):
        _, figures = fit(callback, net, log_every_n_steps=1, limit_train_batches=1)
    assert figures["lgad/gradient_ratio/net.encoder.stage2"] < 1e-2  # it would be about 1 at the norm


def test_the_gradient_ratio_below_a_norm_that_has_learnt():
    net, _ = make_pair()
    net.encoder.stage2 = Normed(net.encoder.stage2[:2])  # without the ReLU no cell is all zeros
    with torch.no_grad():
        net.encoder.stage2.norm.weight.copy_(torch.tensor([0.5, 3.0, 1.0, 2.0]))
        net.encoder.stage2.norm.bias.copy_(torch.tensor([1.0, 0.0, -1.0, 0.5]))
    image, label = make_batches(1)[0]
    norm, inner = net.encoder.stage2.norm, net.encoder.stage2.layer(net.encoder.stage1(image)).permute(0, 2, 3, 1)
    cells = F.layer_norm(inner, (4,)).detach().requires_grad_()  # standardised, so that the norm below divides by 1
    output = norm(cells).permute(0, 3, 1, 2)
    target = (label > 0).float()
    target = F.interpolate(target[:, None], output.shape[-2:], mode="bilinear", antialias=True)[:, 0].flatten(1)
    map_ = output.square().sum(1).flatten(1)
    ours = (F.normalize(map_, dim=1) - F.normalize(target, dim=1)).square().sum(1).mean()
    its = F.cross_entropy(F.interpolate(net.head(output), image.shape[-2:]), label)
    norms = [torch.autograd.grad(loss, cells, retain_graph=True)[0].norm() for loss in (ours, its)]
    module, trainer = Module(net), make_trainer(LabelAttention(LAYERS[1:], weight=1.0), log_every_n_steps=1)
    trainer.fit(module, loader([(image, label)]))
    found = trainer.callback_metrics["label_attention/gradient_ratio/net.encoder.stage2"]
    assert float(found) == pytest.approx(float(norms[0] / norms[1]), rel=0.02)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(first_batch, "rank_zero_info", lines.append)
    return lines


def test_one_line_tells_what_is_distilled(told: list[str]):
    net, teacher = make_pair()
    fit(LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, start=1), net, max_epochs=2)
    assert told == [
        "lgad: net.encoder.stage1 4x8x16 from encoder.stage1 6x8x16, net.encoder.stage2 4x4x8 from encoder.stage2"
        " 6x4x8; maps compared at 8x16, 4x8; labels of 0 to 2; weight 0.3 from step 1"
    ]
    told.clear()
    fit(SelfAttentionDistillation(LAYERS, size=(2, 4), end=0.5, ramp=1), make_pair()[0])
    assert told == [
        "sad: net.encoder.stage1 4x8x16 from net.encoder.stage2 4x4x8; maps compared at 2x4; weight 0.3 to 50 % of the"
        " training with ramps of 1 steps"
    ]


class Flat(nn.Module):
    """A U-Net of one numbered list, decoder included."""

    def __init__(self) -> None:
        super().__init__()
        strides = [1, 2, 2, 0, 0]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3 if not i else 4, 4, 3, s or 1, 1), nn.Upsample(scale_factor=1 if s else 2))
            for i, s in enumerate(strides)
        )
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_pairs_with_a_decoder_are_refused_with_the_list():
    class Stages(Net):
        def __init__(self) -> None:
            super().__init__()
            self.encoder.stage3 = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.encoder.stage3(self.encoder(x))

    with pytest.raises(
        LgadError, match=r"student grow from net\.layers\.2 to net\.layers\.3.*Name student_layers.*4x8x16"
    ):
        fit(AttentionTransfer(Stages()), Flat())
    with pytest.raises(LgadError, match=r"student grow from net\.layers\.2 to net\.layers\.3"):
        fit(LabelAttention(), Flat())
    fit(LabelAttention(["net.layers.1", "net.layers.3"]), Flat())


def test_pairs_of_far_different_sizes_are_refused():
    net, teacher = make_pair()
    teacher.encoder.stage2 = nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1))
    with pytest.raises(LgadError, match=r"net\.encoder\.stage2 and encoder\.stage2 have very different sizes.*6x1x1"):
        fit(LabelGuidedAttentionDistillation(teacher, student_layers=None), net)


def test_looking_at_the_first_batch_changes_no_gradient():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches(2), weight=[0.0, 5.0].__getitem__)
    found, _ = fit(LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, weight=5.0, start=1), net)
    assert relative_error(found, wanted) < 1e-5
