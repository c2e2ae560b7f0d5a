"""Trains under DDP with two processes in several ways; rank 0 writes what the test compares: `ddp_script.py FILE`."""

import sys
from typing import Any

import torch
from distillation_toys import (
    ADAPTED_LAYERS,
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    AdaptedEncoder,
    ManualModule,
    Module,
    Net,
    loader,
    make_batches,
    make_pair,
    make_trainer,
)
from torch.utils.data import DataLoader

from lgad_lightning.callbacks import (
    FeatureDistillation,
    FitNets,
    JointLabelGuidedAttentionDistillation,
    LabelGuidedAttentionDistillation,
    MaskedGenerativeDistillation,
)


class Shares:
    """Mixed into a module: each process takes every second batch."""

    def train_dataloader(self) -> DataLoader[Any]:
        return loader(make_batches(8)[self.trainer.global_rank :: 2])  # type: ignore[attr-defined]


class Automatic(Shares, Module):
    pass


class Manual(Shares, ManualModule):
    pass


class Hints(FitNets):
    """Shows the teacher the label; each process starts from other weights, and those of rank 0 count."""

    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        return (batch[1],)

    def trainable_modules(self, student_shapes: Any, teacher_shapes: Any) -> torch.nn.Module:
        torch.manual_seed(torch.distributed.get_rank())
        return super().trainable_modules(student_shapes, teacher_shapes)


def train(module: Module, callback: FeatureDistillation, strategy: str = "ddp") -> list[list[torch.Tensor]]:
    make_trainer(callback, strategy=strategy, devices=2, use_distributed_sampler=False).fit(module)
    return module.recorder.seen


def main(path: str) -> None:
    results: dict[str, Any] = {}
    for name, kind in (("automatic", Automatic), ("manual", Manual)):
        net, teacher = make_pair()
        callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, weight=WEIGHT)
        results[name] = train(kind(net), callback)
    net, teacher = make_pair()
    net.encoder = AdaptedEncoder(3, 4)
    callback = LabelGuidedAttentionDistillation(teacher, ADAPTED_LAYERS, TEACHER_LAYERS, weight=WEIGHT, start=1)
    results["adapter"] = train(Automatic(net), callback, "ddp_find_unused_parameters_true")
    net, teacher = make_pair()
    net.encoder = AdaptedEncoder(3, 4)
    callback = LabelGuidedAttentionDistillation(teacher, ADAPTED_LAYERS, TEACHER_LAYERS, weight=WEIGHT, start=1, end=3)
    results["plain ddp"] = train(Automatic(net), callback)
    net, teacher = make_pair()
    teacher.requires_grad_()
    if torch.distributed.get_rank():
        torch.nn.init.ones_(teacher.head.weight)  # rank 0's weights are the ones that count
    joint = JointLabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, start=1, end=3)
    train(Automatic(net), joint)
    weights = torch.nn.utils.parameters_to_vector(teacher.parameters()).detach()
    results["joint"] = [torch.empty_like(weights) for _ in range(2)]
    torch.distributed.all_gather(results["joint"], weights)
    net, teacher = make_pair()
    fitnets = Hints(teacher, LAYERS, TEACHER_LAYERS, start=1, end=3)
    train(Automatic(net), fitnets)
    weights = torch.nn.utils.parameters_to_vector(fitnets.trainable.parameters()).detach()
    results["fitnets"] = [torch.empty_like(weights) for _ in range(2)]
    torch.distributed.all_gather(results["fitnets"], weights)
    net, _ = make_pair()
    torch.manual_seed(torch.distributed.get_rank())
    mgd = MaskedGenerativeDistillation(Net(width=6).eval(), LAYERS, TEACHER_LAYERS, start=1, end=3)
    train(Automatic(net), mgd)
    weights = torch.nn.utils.parameters_to_vector([*net.parameters(), *mgd.trainable.parameters()]).detach()
    results["mgd"] = [torch.empty_like(weights) for _ in range(2)]
    torch.distributed.all_gather(results["mgd"], weights)
    if torch.distributed.get_rank() == 0:
        torch.save(results, path)


if __name__ == "__main__":
    main(sys.argv[1])
