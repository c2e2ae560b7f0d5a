"""What the package knows of the insides of torch, Lightning and litdata is still so: each test fails loudly if not."""

import io
from typing import Any

import lightning as L
import pytest
import torch
from lightning.fabric import Fabric
from torch import nn
from tqdm import tqdm

from lgad_lightning import internals

from .callbacks.distillation_toys import Module, TwoOptimizers, loader, make_batches, make_trainer


def test_changes_in_place_are_counted():
    tensor = torch.zeros(2)
    before = internals.version_of(tensor)
    tensor[:1].add_(1)
    assert internals.version_of(tensor) == before + 1


def test_fabric_keeps_the_plain_network():
    network = nn.Sequential(nn.ReLU())
    assert internals.unwrapped(Fabric(accelerator="cpu").setup(network)) is network
    assert internals.unwrapped(network) is network


@pytest.mark.parametrize(
    ("strategy", "devices", "told"),
    [("auto", 1, None), ("ddp", 2, "commands"), ("ddp_spawn", 2, "copies"), ("ddp_fork", 2, "copies")],
)
def test_how_a_trainer_starts_its_processes(strategy: str, devices: int, told: str | None):
    trainer = L.Trainer(accelerator="cpu", strategy=strategy, devices=devices, logger=False)
    assert internals.starts_processes_as(trainer) == told


@pytest.mark.parametrize(
    "compiled",
    [
        lambda: nn.Sequential(torch.compile(nn.ReLU())),
        lambda: torch.compile(nn.ReLU()),
        lambda: nn.Sequential(compiled_in_place(nn.ReLU())),
    ],
)
def test_compiled_modules_are_told(compiled: Any):
    assert internals.is_compiled(compiled())
    assert not internals.is_compiled(nn.Sequential(nn.ReLU()))


def test_a_compiled_network_is_found_with_the_names_of_its_weights():
    network = nn.Sequential(nn.Linear(2, 2))
    compiled = torch.compile(network)
    assert internals.uncompiled(compiled) is internals.uncompiled(network) is network
    assert [internals.uncompiled_name(name) for name in compiled.state_dict()] == list(network.state_dict())


def compiled_in_place(module: nn.Module) -> nn.Module:
    module.compile()
    return module


def test_a_compiled_lightning_module_is_told():
    asked = []

    class Asking(Module):
        def on_fit_start(self) -> None:
            asked.append(internals.is_compiled(self))

    for module in (Asking(), torch.compile(Asking(), backend="eager")):
        make_trainer(max_steps=1).fit(module, loader(make_batches(1)))
    assert asked == [False, True]


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize(("kind", "accumulate"), [(Module, 1), (Module, 3), (TwoOptimizers, 1)])
def test_the_steps_that_are_logged_are_the_trainers_own(kind: Any, accumulate: int, every: int, tmp_path: Any):
    foretold, written = [], []

    class Watching(L.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if internals.logs_this_batch(trainer, pl_module.automatic_optimization, batch_idx):
                foretold.append((trainer.current_epoch, batch_idx))

    class Logger(L.pytorch.loggers.CSVLogger):
        def log_metrics(self, metrics: Any, step: Any = None) -> None:
            if "loss_now" in metrics:
                written.append((trainer.current_epoch, int(metrics["loss_now"])))

    class Logging(kind):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            self.log("loss_now", float(batch_idx))

    options = {"accumulate_grad_batches": accumulate, "log_every_n_steps": every, "max_epochs": 2}
    trainer = make_trainer(Watching(), logger=Logger(tmp_path), **options)
    trainer.fit(Logging(), loader(make_batches(7)))
    assert foretold == written
    assert written


@pytest.mark.parametrize("options", [{"max_epochs": 3, "max_steps": 100}, {"max_epochs": -1, "max_steps": 10}])
def test_a_training_of_steps_resumes_behind_an_epoch(options: Any, tmp_path: Any):
    def train(checkpoint: Any = None) -> L.Trainer:
        keeping = L.pytorch.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, enable_version_counter=False)
        trainer = make_trainer(keeping, enable_checkpointing=True, **options)
        internals.resume_behind_epochs(trainer)
        torch.manual_seed(0)
        trainer.fit(Module(), loader(make_batches(4)), ckpt_path=checkpoint)
        return trainer

    whole, resumed = train(), train(tmp_path / "epoch=0.ckpt")
    assert whole.global_step == resumed.global_step
    weights = [trainer.lightning_module.state_dict().values() for trainer in (whole, resumed)]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


@pytest.mark.parametrize(
    ("filename", "options", "replaced"),
    [
        ("best", {}, ["best.ckpt"]),
        ("best", {"save_last": True}, ["best.ckpt", "last.ckpt"]),
        ("{epoch}", {}, ["best.ckpt", "epoch=0.ckpt", "last.ckpt"]),
        ("x-{epoch}", {}, []),
        ("best", {"enable_version_counter": True}, []),
    ],
)
def test_checkpoints_that_a_fit_would_replace(filename: str, options: Any, replaced: list[str], tmp_path: Any):
    for name in ("best.ckpt", "last.ckpt", "epoch=0.ckpt"):
        (tmp_path / name).touch()
    callback = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename, **{"enable_version_counter": False} | options)
    trainer = make_trainer(callback, enable_checkpointing=True)
    found = [
        file.name
        for folder, names in internals.replaced_checkpoints(trainer)
        for name in names
        for file in folder.glob(f"{name}.ckpt")
    ]
    assert sorted(found) == replaced


@pytest.mark.zoo
def test_batches_of_an_epoch_are_counted_across_a_resumption(tmp_path: Any):
    class Counted(Module):
        def on_train_batch_start(self, *_: Any) -> None:
            counts.append(internals.batches_done(self.trainer))

        def on_train_batch_end(self, *_: Any) -> None:
            if self.trainer.global_step == 6 and not (tmp_path / "a.ckpt").exists():
                self.trainer.save_checkpoint(tmp_path / "a.ckpt")

    counts: list[int] = []
    make_trainer(max_epochs=2).fit(Counted(), loader(make_batches(4)))
    assert counts == [0, 1, 2, 3] * 2
    counts.clear()
    make_trainer(max_epochs=2).fit(Counted(), loader(make_batches(4)), ckpt_path=tmp_path / "a.ckpt")
    assert counts == [2, 3]


@pytest.mark.parametrize("kind", [Module, TwoOptimizers])
def test_the_part_of_a_training_that_is_done_is_known_after_a_resumption(kind: Any, tmp_path: Any):
    class Counted(kind):
        def on_train_batch_start(self, *_: Any) -> None:
            due.append(internals.steps_due(self.trainer))

        def on_train_batch_end(self, *_: Any) -> None:
            if len(due) == 6:
                self.trainer.save_checkpoint(tmp_path / "a.ckpt")

    due: list[int] = []
    make_trainer(max_epochs=2).fit(Counted(), loader(make_batches(4)))
    assert due == list(range(8))
    due.clear()
    make_trainer(max_epochs=2).fit(Counted(), loader(make_batches(4)), ckpt_path=tmp_path / "a.ckpt")
    assert due == [6, 7]


def test_parts_that_litdata_has_written_make_one_data_set(tmp_path: Any):
    litdata = pytest.importorskip("litdata", reason="needs the extra `stream`")
    pytest.importorskip("litdata.streaming")
    for number, items in enumerate(([b"a", b"b"], [b"c"])):
        with internals.litdata_writer(litdata, tmp_path, number, "1MB") as writer:
            for index, item in enumerate(items):
                writer[index] = item
    internals.merge_litdata(litdata, tmp_path, 2, "1MB")
    dataset = litdata.StreamingDataset(str(tmp_path))
    assert [bytes(dataset[index]) for index in range(len(dataset))] == [b"a", b"b", b"c"]


def test_bars_that_are_drawn_are_known():
    with tqdm(total=1, file=io.StringIO()) as bar:
        assert bar in internals.open_bars()
    assert bar not in internals.open_bars()
