"""Somebody else's tiny LightningModules, and the explicit sum of losses that a callback must be equal to."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

WEIGHT = 5.0
ADAPTED_LAYERS = ["net.encoder.stage1", "net.encoder.adapter"]
LAYERS = ["net.encoder.stage1", "net.encoder.stage2"]
TEACHER_LAYERS = ["encoder.stage1", "encoder.stage2"]


class Encoder(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.GroupNorm(2, width), nn.ReLU())
        self.stage2 = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(2, width), nn.ReLU())

    def stages(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """What is distilled, and what the head is given."""
        first = self.stage1(x)
        second = self.stage2(first)
        return [first, second], second

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[1]


class AdaptedEncoder(Encoder):
    """Has a branch that only the distillation uses."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width)
        self.adapter = nn.Conv2d(width, 2, 1)

    def stages(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        (first, second), inner = super().stages(x)
        return [first, self.adapter(second)], inner


class Net(nn.Module):
    def __init__(self, channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.head = nn.Conv2d(width, 3, 1)
        self.recompute: bool | None = None  # checkpoint the encoder's activations, the reentrant way or not

    def forward(self, x: Tensor) -> Tensor:
        inner = self.encoder(x) if self.recompute is None else checkpoint(self.encoder, x, use_reentrant=self.recompute)
        return F.interpolate(self.head(inner), x.shape[-2:])


class LabelNet(Net):
    """A teacher that is called with the label map."""

    def __init__(self, width: int = 6) -> None:
        super().__init__(3, width)

    def forward(self, label: Tensor) -> Tensor:
        return super().forward(one_hot(label))


class Recorder(torch.optim.SGD):
    """Keeps the gradients of every step, as they are when the parameters are updated."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.seen: list[list[Tensor]] = []

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        result = None if closure is None else closure()
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        self.seen.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters])
        super().step()
        return result


class Module(L.LightningModule):
    """Nothing in it knows of distillation."""

    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__()
        self.net = Net() if net is None else net

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        image, label = batch
        return F.cross_entropy(self.net(image), label)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.net(batch[0])

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> Recorder:
        self.recorder = Recorder(self.parameters())
        return self.recorder


class DictModule(Module):
    """Dictionaries in and out, and a step without `batch_idx`."""

    def training_step(self, batch: Any) -> Any:
        return {"loss": F.cross_entropy(self.net(batch["image"]), batch["label"]), "extra": 1}


class ManualModule(Module):
    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__(net)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


class TwoOptimizers(Module):
    """The first backward pass misses the encoder; the second goes through it, and both optimisers step after it."""

    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__(net)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        encoder, head = self.optimizers()
        image, label = batch
        inner = self.net.encoder(image)
        encoder.zero_grad()
        head.zero_grad()
        self.manual_backward(self.net.head(inner.detach()).square().mean())
        self.manual_backward(F.cross_entropy(F.interpolate(self.net.head(inner), image.shape[-2:]), label))
        encoder.step()
        head.step()

    def configure_optimizers(self) -> Any:
        self.recorders = [Recorder(self.net.encoder.parameters()), Recorder(self.net.head.parameters())]
        return self.recorders


def one_hot(label: Tensor) -> Tensor:
    return F.one_hot(label, 3).permute(0, 3, 1, 2).float()


def make_batches(count: int = 4, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(2, 3, 16, 32, generator=generator), torch.randint(0, 3, (2, 16, 32), generator=generator))
        for _ in range(count)
    ]


def loader(batches: Sequence[Any]) -> DataLoader[Any]:
    return DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]


def make_pair(seed: int = 1) -> tuple[Net, LabelNet]:
    torch.manual_seed(seed)
    return Net(), LabelNet().eval()


def make_trainer(*callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 1,
    }
    return L.Trainer(callbacks=list(callbacks), **(quiet | options))


def explicit_distance(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Unit vectors of summed squares, squared distance: written out, without the package."""
    total = torch.zeros(())
    for s, t in zip(student, teacher, strict=True):
        a, b = (features.float().square().sum(1).reshape(len(features), -1) for features in (s, t))
        a, b = (flat / flat.norm(dim=1, keepdim=True) for flat in (a, b))
        total = total + ((a - b) ** 2).sum(1).mean()
    return total


def explicit_gradients(
    net: Net,
    teacher: LabelNet,
    batches: Sequence[tuple[Tensor, Tensor]],
    weight: float | Callable[[int], float] = WEIGHT,
    accumulate: int = 1,
    clip: float | None = None,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    extra: Callable[[Net, Tensor], Tensor] | None = None,
) -> list[list[Tensor]]:
    """Gradients of task loss + weight x distance at every SGD step, on a copy of the net."""
    net = deepcopy(net)
    optimizer = Recorder(net.parameters())
    for index, (image, label) in enumerate(batches):
        factor = weight if isinstance(weight, float) else weight(index // accumulate)
        with autocast():
            features, inner = net.encoder.stages(image)
            task = F.cross_entropy(F.interpolate(net.head(inner), image.shape[-2:]), label)
            with torch.no_grad():
                targets, _ = teacher.encoder.stages(one_hot(label))
            loss = task + factor * explicit_distance(features, targets)
            if extra is not None:
                loss = loss + extra(net, inner)
        (loss / accumulate).backward()
        if (index + 1) % accumulate == 0:
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return optimizer.seen


def relative_error(found: list[list[Tensor]], wanted: list[list[Tensor]]) -> float:
    """The largest relative error of any parameter's gradient at any step."""
    assert [len(step) for step in found] == [len(step) for step in wanted]
    return max(
        float((f - w).norm() / w.norm().clamp_min(1e-9))
        for f_step, w_step in zip(found, wanted, strict=True)
        for f, w in zip(f_step, w_step, strict=True)
    )
