"""What a distillation callback must not leave behind, in memory, in checkpoints and in copies."""

import gc
import pickle
import signal
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint, WeightAveraging
from lightning.pytorch.tuner import Tuner
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lgad_lightning.callbacks import LabelGuidedAttentionDistillation, SelfAttentionDistillation

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    Module,
    explicit_distance,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)


class Spy(LabelGuidedAttentionDistillation):
    """Counts the teacher's calls and remembers the features, weakly."""

    def __init__(self, teacher: nn.Module, **options: Any) -> None:
        super().__init__(teacher, LAYERS, TEACHER_LAYERS, **({"weight": WEIGHT} | options))
        self.calls = 0
        self.seen: list[weakref.ref[Tensor]] = []

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        self.calls += 1
        self.seen += [weakref.ref(features) for features in student_features + teacher_features]
        return super().compute_loss(student_features, teacher_features)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "seen": []}


class Watcher(L.Callback):
    """Calls a function at the end of each training batch."""

    def __init__(self, watch: Any) -> None:
        self.watch = watch

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.watch(trainer, pl_module)


def hooks_of(*modules: nn.Module) -> int:
    return sum(len(inner._forward_hooks) for module in modules for inner in module.modules())


def assert_clean(module: L.LightningModule, teacher: nn.Module) -> None:
    assert hooks_of(module, teacher) == 0
    assert "training_step" not in vars(module)
    assert "manual_backward" not in vars(module)


def test_checkpoint_holds_the_plain_student(tmp_path: Path):
    net, teacher = make_pair()
    module = Module(net)
    plain_keys = list(module.state_dict())
    checkpoints = ModelCheckpoint(tmp_path, save_last=True)
    trainer = make_trainer(Spy(teacher), checkpoints, enable_checkpointing=True)
    trainer.fit(module, loader(make_batches()))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert list(checkpoint["state_dict"]) == list(module.state_dict()) == plain_keys
    assert not any("Spy" in key for key in checkpoint["callbacks"])
    optimised = sum(p.numel() for group in module.recorder.param_groups for p in group["params"])
    assert optimised == sum(p.numel() for p in net.parameters())


def test_teacher_stays_as_it_is():
    net, teacher = make_pair()
    teacher.encoder.stage1.append(nn.BatchNorm2d(6)).append(nn.Dropout(0.5))
    teacher.train()
    before, state = [p.requires_grad for p in teacher.parameters()], deepcopy(teacher.state_dict())
    make_trainer(Spy(teacher), precision="bf16-true").fit(
        Module(net), loader([(image.bfloat16(), label) for image, label in make_batches()])
    )
    assert all(module.training for module in teacher.modules())
    assert [p.requires_grad for p in teacher.parameters()] == before
    assert all(torch.equal(value, state[key]) for key, value in teacher.state_dict().items())
    assert all(value.dtype == state[key].dtype for key, value in teacher.state_dict().items())


def test_hooks_fire_in_training_steps_only():
    class Watched(Module):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            assert hooks_of(self) == 0
            self.net(batch[0])

        test_step = predict_step = validation_step

    net, teacher = make_pair()
    callback = Spy(teacher)
    trainer = make_trainer(callback, num_sanity_val_steps=2)
    module, batches = Watched(net), loader(make_batches(4))
    trainer.fit(module, batches, batches)
    trainer.validate(module, batches, verbose=False)
    trainer.test(module, batches, verbose=False)
    trainer.predict(module, batches)
    assert callback.calls == 4


def test_the_teacher_does_not_run_while_the_weight_is_zero():
    net, teacher = make_pair()
    callback = Spy(teacher, start=2, end=3)
    make_trainer(callback).fit(Module(net), loader(make_batches()))
    assert callback.calls == 1


def test_step_that_returns_none_skips_the_teacher():
    class Skipping(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            return loss if batch_idx else None

    net, teacher = make_pair()
    callback = Spy(teacher)
    make_trainer(callback).fit(Skipping(net), loader(make_batches(3)))
    assert callback.calls == 2


@pytest.mark.parametrize("compiled", [False, True])
def test_no_feature_outlives_its_step(compiled: bool):
    net, teacher = make_pair()
    if compiled:
        net.compile(backend="aot_eager")
    callback, alive = Spy(teacher), []
    watcher = Watcher(lambda trainer, module: alive.append(sum(ref() is not None for ref in callback.seen)))
    trainer = make_trainer(callback, watcher, log_every_n_steps=2)
    with without_garbage_collection():
        trainer.fit(Module(net), loader(make_batches()))
    assert alive == [0, 0, 0, 0]
    assert len(callback.seen) == 4 * 2 * len(LAYERS)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What is freed meanwhile was in no reference cycle."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Lightning ignores SIGINT from its first KeyboardInterrupt on."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("where", ["setup", "training_step", "validation_step", "teacher_inputs", "backward"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(where: str, error: type[BaseException]):
    net, teacher = make_pair()
    callback, module = Spy(teacher), Module(net)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error("stop")

    owner = {"teacher_inputs": callback, "setup": Watcher(None)}.get(where, module)
    setattr(owner, where, fail)
    last = owner if where == "setup" else Watcher(lambda *args: None)
    with pytest.raises((RuntimeError, SystemExit)):
        make_trainer(callback, last).fit(module, loader(make_batches()), loader(make_batches()))
    vars(module).pop("training_step" if where == "training_step" else "", None)
    assert_clean(module, teacher)
    assert callback._fit is None


def test_fit_twice_is_two_plain_fits():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches(2) * 2)
    module, callback = Module(net), Spy(teacher)
    seen = []
    for trainer in (make_trainer(callback), make_trainer(callback)):
        trainer.fit(module, loader(make_batches(2)))
        seen += module.recorder.seen
        assert_clean(module, teacher)
    assert relative_error(seen, wanted) < 1e-5
    assert callback.calls == 4


def test_resume_equals_an_uninterrupted_run(tmp_path: Path):
    def train(epochs: int, checkpoint: str | None = None) -> dict[str, Tensor]:
        net, teacher = make_pair()
        module = Module(net)
        callbacks = Spy(teacher, start=2, ramp=3, end=10), ModelCheckpoint(tmp_path, save_last=True)
        trainer = make_trainer(*callbacks, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(module, loader(make_batches()), ckpt_path=checkpoint)
        return module.state_dict()

    whole = train(3)
    train(1)
    resumed = train(3, str(tmp_path / "last.ckpt"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_copies_made_during_a_step_are_plain():
    net, teacher = make_pair()
    callback = Spy(teacher)
    copies: list[Any] = []

    class Copying(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 1:
                copies.append((deepcopy(self), deepcopy(callback), deepcopy(self.trainer.state)))
                copies.append((deepcopy(self), pickle.loads(pickle.dumps(callback)), None))
            return super().training_step(batch, batch_idx)

    def pickle_module(trainer: L.Trainer, module: L.LightningModule) -> None:
        copies.append((pickle.loads(pickle.dumps(module)), pickle.loads(pickle.dumps(trainer.callbacks[0])), None))

    globals()["Copying"], Copying.__qualname__ = Copying, "Copying"  # where pickle looks for it
    make_trainer(callback, Watcher(pickle_module)).fit(Copying(net), loader(make_batches(3)))
    calls = callback.calls
    for module, copied, _ in copies:
        assert copied._fit is None
        assert module.training_step.__self__ is module
        module._trainer = None
        F.mse_loss(module.training_step(make_batches(1)[0], 0), torch.zeros(())).backward()
    assert callback.calls == calls


def test_inference_is_the_plain_networks():
    net, teacher = make_pair()
    plain = deepcopy(net)
    make_trainer(Spy(teacher)).fit(Module(net), loader(make_batches()))
    image, counts = make_batches(1)[0][0], []
    for network in (plain, net):
        with FlopCounterMode(display=False) as counter:
            network(image)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    assert str(net) == str(plain)


def test_weight_averaging_composes():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module, averaging = Module(net), WeightAveraging()
    make_trainer(Spy(teacher), averaging).fit(module, loader(make_batches()), loader(make_batches(1)))
    assert relative_error(module.recorder.seen, wanted) < 1e-5
    assert_clean(module, teacher)
    assert hooks_of(averaging._average_model) == 0


@pytest.mark.parametrize("as_callback", [False, True])
def test_learning_rate_finder_sees_the_whole_loss(as_callback: bool, tmp_path: Path):
    net, teacher = make_pair()
    image, label = make_batches(1)[0]
    features, _ = net.encoder.stages(image)
    targets, _ = teacher.encoder.stages(one_hot(label))
    whole = F.cross_entropy(net(image), label) + WEIGHT * explicit_distance(features, targets)
    losses = []

    class Tunable(Module):
        lr = 1e-3

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), self.lr)

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(float(outputs["loss"]))

    module, trainer = Tunable(net), make_trainer(Spy(teacher), default_root_dir=tmp_path)
    if as_callback:
        trainer.callbacks.insert(0, LearningRateFinder(num_training_steps=5, early_stop_threshold=None))
        trainer.fit(module, loader(make_batches(1)))
    else:
        Tuner(trainer).lr_find(module, loader(make_batches(1)), num_training=5, early_stop_threshold=None)
    assert losses[0] == pytest.approx(whole.item(), rel=1e-4)
    assert_clean(module, teacher)


def test_a_second_distillation_adds_up():
    net, teacher = make_pair()

    def second(net: Any, inner: Tensor) -> Tensor:
        (first, deeper), _ = net.encoder.stages(second.image)  # type: ignore[attr-defined]
        pooled = first.square().sum(1, keepdim=True)
        pooled = F.interpolate(pooled, deeper.shape[-2:], mode="bilinear", antialias=True)
        return 2.0 * explicit_distance([pooled.sqrt()], [deeper.detach()])

    batches = make_batches(1)
    second.image = batches[0][0]  # type: ignore[attr-defined]
    wanted = explicit_gradients(net, teacher, batches, extra=second)
    alone = explicit_gradients(net, teacher, batches)
    module = Module(net)
    make_trainer(Spy(teacher), SelfAttentionDistillation(LAYERS, weight=2.0)).fit(module, loader(batches))
    assert relative_error(module.recorder.seen, wanted) < 1e-4
    assert relative_error(alone, wanted) > 1e-2
    assert_clean(module, teacher)


class Counting:
    """A loader with a state, as those of torchdata and litdata have."""

    def __init__(self) -> None:
        self.first = self.at = 0

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[Any]:
        first, self.first = self.first, 0
        for number, (image, label) in enumerate(make_batches(6)[first:], start=first):
            self.at = number + 1
            yield image + number, label

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.first = state["at"]


@pytest.mark.parametrize("distilled", [False, True])
def test_a_loader_goes_on_where_it_was(distilled: bool, tmp_path: Path):
    class Saving(L.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append(round(float(batch[0].mean())))
            if batch_idx == 2:
                trainer.save_checkpoint(tmp_path / "third.ckpt")

    seen: list[int] = []
    for resumed in (None, tmp_path / "third.ckpt"):
        seen.clear()
        net, teacher = make_pair()
        callbacks = [LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)] if distilled else []
        make_trainer(Saving(), *callbacks).fit(Module(net), Counting(), ckpt_path=resumed)
    assert seen == [3, 4, 5]


def test_a_fraction_of_nothing_needs_no_length():
    net, teacher = make_pair()
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, start=0.0)
    make_trainer(callback, max_epochs=-1, max_time="00:00:00:01").fit(Module(net), loader(make_batches()))
    half = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, start=0.5)
    make_trainer(half, limit_train_batches=0).fit(Module(net), loader(make_batches()))
