"""On strangers' modules the gradients are those of a sum written out, and nothing is left behind."""

from copy import deepcopy
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lgad_lightning.callbacks import (
    FeatureDistillation,
    FitNets,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
)

from .modules import STRANGERS, Stranger

WEIGHT = 5.0
SIZE = (64, 96)
CALLBACKS = ["lgad", "label_attention", "sad", "fitnets"]
pytestmark = pytest.mark.zoo


class LabelTeacher(nn.Module):
    """Is called with the label map."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.stage2 = nn.Sequential(nn.Conv2d(6, 10, 3, 2, 1), nn.ReLU())
        self.head = nn.Conv2d(10, 3, 1)

    def forward(self, label: Tensor) -> Tensor:
        planes = F.one_hot(label, 3).permute(0, 3, 1, 2).float()
        out: Tensor = self.head(self.stage2(self.stage1(planes)))
        return out


class Hints(FitNets):
    """Learns from the label teacher, from known weights."""

    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        return LabelGuidedAttentionDistillation.teacher_inputs(self, batch)  # type: ignore[arg-type]

    ignore_index = 255

    def trainable_modules(self, student_shapes: Any, teacher_shapes: Any) -> nn.Module:
        torch.manual_seed(3)
        return super().trainable_modules(student_shapes, teacher_shapes)


def make_callback(name: str, layers: list[str]) -> FeatureDistillation:
    teacher, of_teacher = LabelTeacher().eval(), ["stage1", "stage2"]
    torch.manual_seed(7)
    for parameter in teacher.parameters():
        nn.init.normal_(parameter, 0.1, 0.3)
    if name == "lgad":
        return LabelGuidedAttentionDistillation(teacher, layers, of_teacher, weight=WEIGHT)
    if name == "fitnets":
        return Hints(teacher, layers, of_teacher, weight=WEIGHT)
    kind = LabelAttention if name == "label_attention" else SelfAttentionDistillation
    return kind(layers, weight=WEIGHT)


def as_maps(output: Tensor, layout: str, cells: tuple[int, int]) -> Tensor:
    if layout == "tokens":
        return torch.stack([output[:, row * cells[1] : (row + 1) * cells[1]] for row in range(cells[0])], 1).movedim(
            3, 1
        )
    return output.movedim(3, 1) if layout == "nhwc" else output


def unit_distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of unit maps `(B, H, W)` at the smaller size."""
    size = min((first.shape[1:], second.shape[1:]), key=lambda hw: hw[0] * hw[1])
    units = []
    for maps in (first, second):
        if maps.shape[1:] != size:
            maps = F.interpolate(maps[None], size, mode="bilinear", antialias=True)[0]
        units.append(maps.flatten(1) / maps.flatten(1).norm(dim=1, keepdim=True))
    return (units[0] - units[1]).square().sum(1).mean()


def written_out(name: str, callback: FeatureDistillation, features: list[Tensor], label: Tensor) -> Tensor:
    energy = [feature.square().sum(1) for feature in features]
    if name == "label_attention":
        return torch.stack([unit_distance(one, (label > 0).float()) for one in energy]).sum()
    if name == "sad":
        return unit_distance(energy[0], energy[1].detach())
    teacher: Any = callback.teacher
    with torch.no_grad():
        first = teacher.stage1(F.one_hot(label, 3).permute(0, 3, 1, 2).float())
        targets = [first, teacher.stage2(first)]
    if name == "lgad":
        return torch.stack([unit_distance(a, b.square().sum(1)) for a, b in zip(energy, targets, strict=True)]).sum()
    adapters = callback.trainable_modules([f.shape for f in features], [t.shape for t in targets])
    total = torch.zeros(())
    for adapter, feature, target in zip(adapters.children(), features, targets, strict=True):  # type: ignore[union-attr]
        if target.shape[-2:] != feature.shape[-2:]:
            target = F.interpolate(target, feature.shape[-2:], mode="bilinear", antialias=True)
        total = total + F.mse_loss(adapter(feature), target)
    return total


class Watching(L.Callback):
    """Seeds the step, and keeps its gradients."""

    def on_train_batch_start(self, *args: Any) -> None:
        torch.manual_seed(11)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients = {n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None}


def train(stranger: Stranger, module: L.LightningModule, *callbacks: L.Callback) -> dict[str, Tensor]:
    watching = Watching()
    trainer = L.Trainer(
        accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[*callbacks, watching],
    )  # fmt: skip
    batches: Any = DataLoader([stranger.batch(*data())], batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, batches, batches)
    return watching.gradients


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 3, *SIZE), torch.randint(0, 3, (2, *SIZE))


def hooks_of(module: nn.Module) -> int:
    """The models of transformers hang some of their own on at their first run."""
    return sum(len(inner._forward_hooks) for inner in module.modules())


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("who", STRANGERS)
def test_gradients_keys_and_hooks(who: str, name: str):
    stranger = STRANGERS[who]
    torch.manual_seed(0)
    module = stranger.build()
    plain, keys = deepcopy(module), list(module.state_dict())
    callback = make_callback(name, stranger.layers)
    found = train(stranger, module, callback)

    outputs: dict[str, Tensor] = {}
    layers = dict(plain.named_modules())
    handles = [
        layers[layer].register_forward_hook(lambda _m, _i, output, layer=layer: outputs.update({layer: output}))
        for layer in stranger.layers
    ]
    image, label = data()
    torch.manual_seed(11)
    plain.log = plain.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    loss: Any = plain.training_step(stranger.batch(image, label), 0)
    task: Tensor = loss["loss"] if isinstance(loss, dict) else loss
    for handle in handles:
        handle.remove()
    strides = [(SIZE[0] // (4 * 2**i), SIZE[1] // (4 * 2**i)) for i in range(2)]
    features = [as_maps(outputs[n], stranger.layout, cells) for n, cells in zip(stranger.layers, strides, strict=True)]
    parameters = {n: p for n, p in plain.named_parameters() if p.requires_grad}
    total = task + WEIGHT * written_out(name, callback, features, label)
    wanted, alone = (
        torch.autograd.grad(sum_, list(parameters.values()), retain_graph=True, allow_unused=True)
        for sum_ in (total, task)
    )
    whole = torch.cat([g.flatten() for g in wanted if g is not None])
    error = torch.cat([(found[n] - g).flatten() for n, g in zip(parameters, wanted, strict=True) if g is not None])
    theirs = torch.cat(
        [(a - g).flatten() for a, g in zip(alone, wanted, strict=True) if g is not None and a is not None]
    )
    assert error.norm() < 1e-4 * whole.norm()
    assert theirs.norm() > 1e-3 * whole.norm()  # the term matters, or the test could not fail

    assert list(module.state_dict()) == keys
    assert hooks_of(module) == hooks_of(plain)
    assert "training_step" not in vars(module)


def test_segformer_is_paired_before_its_norms():
    module = STRANGERS["segformer"].build()
    pairs = LabelAttention().layer_pairs(module)
    assert [name for name, _ in pairs] == [f"net.segformer.stages.{number}.blocks.0" for number in range(4)]
    train(STRANGERS["segformer"], module, LabelAttention())
