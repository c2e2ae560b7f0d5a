"""The gradient of every student parameter equals that of the explicit sum, whatever the trainer does with it."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from lgad_lightning.callbacks import LabelAttention, LabelGuidedAttentionDistillation
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    DictModule,
    ManualModule,
    Module,
    TwoOptimizers,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    relative_error,
)


def distillation(teacher: torch.nn.Module, **options: Any) -> LabelGuidedAttentionDistillation:
    return LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, **({"weight": WEIGHT} | options))


def assert_equal(found: Any, wanted: Any, plain: Any, tolerance: float = 1e-5) -> None:
    assert relative_error(found, wanted) < tolerance
    assert relative_error(plain, wanted) > 20 * tolerance  # the term matters, or the test could not fail


def test_plain_step_in_float32():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0)
    module = Module(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert_equal(module.recorder.seen, wanted, plain)


def test_dictionaries_in_and_out():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0)
    module = DictModule(net)
    make_trainer(distillation(teacher)).fit(
        module, loader([{"image": image, "label": label} for image, label in make_batches()])
    )
    assert_equal(module.recorder.seen, wanted, plain)


def test_bf16_mixed():
    net, teacher = make_pair()
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    wanted = explicit_gradients(net, teacher, make_batches(), autocast=autocast)
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0, autocast=autocast)
    module = Module(net)
    make_trainer(distillation(teacher), precision="bf16-mixed").fit(module, loader(make_batches()))
    assert_equal(module.recorder.seen, wanted, plain, tolerance=0.02)


def test_16_mixed_with_a_gradient_scaler():
    net, teacher = make_pair()
    autocast = partial(torch.autocast, "cpu", torch.float16)
    wanted = explicit_gradients(net, teacher, make_batches(), autocast=autocast)
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0, autocast=autocast)
    module = Module(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    make_trainer(distillation(teacher), plugins=[MixedPrecision("16-mixed", "cpu", scaler)]).fit(
        module, loader(make_batches())
    )
    assert scaler.is_enabled()
    assert_equal(module.recorder.seen, wanted, plain, tolerance=0.01)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulation_and_clipping(clip: float | None):
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches(8), accumulate=4, clip=clip)
    plain = explicit_gradients(net, teacher, make_batches(8), weight=0.0, accumulate=4, clip=clip)
    module = Module(net)
    trainer = make_trainer(distillation(teacher), accumulate_grad_batches=4, gradient_clip_val=clip)
    trainer.fit(module, loader(make_batches(8)))
    assert len(module.recorder.seen) == 2
    assert_equal(module.recorder.seen, wanted, plain)


def test_weight_follows_the_global_step():
    net, teacher = make_pair()
    callback = distillation(teacher, start=1, ramp=2, end=5)
    weights = [0.0, WEIGHT / 2, WEIGHT, WEIGHT, WEIGHT / 2, 0.0, 0.0, 0.0]
    assert [callback.weight_at(step) for step in range(8)] == weights
    wanted = explicit_gradients(net, teacher, make_batches(16), weight=weights.__getitem__, accumulate=2)
    module = Module(net)
    make_trainer(callback, accumulate_grad_batches=2).fit(module, loader(make_batches(16)))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_manual_optimisation():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0)
    module = ManualModule(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert_equal(module.recorder.seen, wanted, plain)


def test_manual_optimisation_with_two_optimisers():
    net, teacher = make_pair()
    both = {"extra": lambda net, inner: net.head(inner.detach()).square().mean()}
    wanted = explicit_gradients(net, teacher, make_batches(), **both)
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0, **both)
    module = TwoOptimizers(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    encoder, head = (recorder.seen for recorder in module.recorders)
    assert_equal([e + h for e, h in zip(encoder, head, strict=True)], wanted, plain)


def test_manual_optimisation_with_two_passes_back_through_one_forward_pass():
    class TwoPasses(ManualModule):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            task = Module.training_step(self, batch, batch_idx)
            self.manual_backward(0.25 * task, retain_graph=True)
            self.manual_backward(0.75 * task)
            optimizer.step()

    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = TwoPasses(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_checkpointed_activations():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0)
    net.recompute = False
    module = Module(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert_equal(module.recorder.seen, wanted, plain)


def test_checkpointed_activations_with_manual_optimisation():
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = ManualModule(net)
    net.recompute = False
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_a_second_pass_without_gradient_does_not_count():
    class Measuring(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            with torch.no_grad():
                self.net(batch[0] - 1)
            loss = super().training_step(batch, batch_idx)
            with torch.no_grad():
                self.log("accuracy", (self.net(batch[0] + 1).argmax(1) == batch[1]).float().mean())
            return loss

    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Measuring(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_of_two_passes_with_gradient_the_last_counts():
    class Twice(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return 0 * self.net(batch[0].flip(3)).sum() + super().training_step(batch, batch_idx)

    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Twice(net)
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_reentrant_checkpointing_is_refused():
    net, teacher = make_pair()
    net.recompute = True
    batches = [(image.requires_grad_(), label) for image, label in make_batches()]
    with pytest.raises(
        LgadError, match=r"'net\.encoder\.stage1' of the student carries no gradient.*use_reentrant=False"
    ):
        make_trainer(distillation(teacher)).fit(Module(net), loader(batches))


def compiled_net(net: Any) -> Module:
    return Module(torch.compile(net, backend="aot_eager"))


def net_compiled_in_place(net: Any) -> Module:
    net.compile(backend="aot_eager")
    return Module(net)


def compiled_module(net: Any) -> Any:
    return torch.compile(Module(net), backend="aot_eager")


def compiled_submodule(net: Any) -> Module:
    net.encoder.stage1.compile(backend="aot_eager")
    net.encoder.compile(backend="aot_eager")
    return Module(net)


@pytest.mark.parametrize("traced", [False, True], ids=["fresh", "traced"])
@pytest.mark.parametrize("build", [compiled_net, net_compiled_in_place, compiled_module, compiled_submodule])
def test_compiled(build: Any, traced: bool):
    torch.compiler.reset()
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    plain = explicit_gradients(net, teacher, make_batches(), weight=0.0)
    module = build(net)
    if traced:
        module(make_batches()[0][0]).sum().backward()
        module.zero_grad()
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()), loader(make_batches(1)))
    assert_equal(module.recorder.seen, wanted, plain)


def test_two_callbacks_on_the_same_layers_of_a_compiled_module():
    torch.compiler.reset()
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches(), weight=2 * WEIGHT)
    module = net_compiled_in_place(net)
    module(make_batches()[0][0])
    make_trainer(distillation(teacher), distillation(teacher, name="second")).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_teacher(in_place: bool):
    torch.compiler.reset()
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Module(net)
    if in_place:
        teacher.compile(backend="aot_eager")
    compiled = teacher if in_place else torch.compile(teacher, backend="aot_eager")
    compiled(make_batches()[0][1])
    make_trainer(distillation(compiled)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_a_pass_for_pseudo_labels_in_inference_mode_does_not_count():
    class Pseudo(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            with torch.inference_mode():
                self.net(batch[0]).argmax(1)
            return super().training_step(batch, batch_idx)

    net, teacher = make_pair()
    module = Pseudo(net)
    wanted = explicit_gradients(net, teacher, make_batches())
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


def test_a_pass_after_the_manual_step_is_no_reason_to_warn(recwarn: pytest.WarningsRecorder):
    class Measured(ManualModule):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            super().training_step(batch, batch_idx)
            self.net(batch[0]).argmax(1)

    net, teacher = make_pair()
    module = Measured(net)
    wanted = explicit_gradients(net, teacher, make_batches())
    make_trainer(distillation(teacher)).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5
    assert not [one for one in recwarn if "nothing was distilled" in str(one.message)]


def test_layers_that_run_unequally_often_are_told_of():
    class Partly(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss: Tensor = super().training_step(batch, batch_idx)
            return loss + 0 * self.net.encoder.stage1(batch[0].flip(-1)).mean()

    net, teacher = make_pair()
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
    with pytest.warns(UserWarning, match="stage1 2 times, net.encoder.stage2 1 times.*Some ran in other passes"):
        make_trainer(callback).fit(Partly(net), loader(make_batches(1)))


class Branches(ManualModule):
    """Two networks, each with a backward pass of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.other = make_pair()[0]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        image, label = batch
        losses = [F.cross_entropy(net(image), label) for net in (self.net, self.other)]
        for loss in losses:
            self.manual_backward(loss)


def test_two_losses_in_one_manual_step_need_a_distillation_each():
    layers = ["net.encoder.stage1", "other.encoder.stage1"]
    with pytest.raises(LgadError, match="use one distillation for each loss"):
        make_trainer(LabelAttention(layers)).fit(Branches(), loader(make_batches(1)))
    trainer = make_trainer(LabelAttention(layers[:1]), LabelAttention(layers[1:], name="other"))
    trainer.fit(Branches(), loader(make_batches(1)))
    assert trainer.callback_metrics["label_attention/loss"] > 0
    assert trainer.callback_metrics["other/loss"] > 0


def test_a_second_manual_pass_through_some_of_the_layers_is_not_distilled():
    class Twice(ManualModule):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.manual_backward(F.cross_entropy(self.net(batch[0]), batch[1]))
            self.manual_backward(self.net.encoder.stage1(batch[0].flip(-1)).mean())

    trainer = make_trainer(LabelAttention(["net.encoder.stage1", "net.encoder.stage2"]))
    trainer.fit(Twice(), loader(make_batches(1)))
    assert trainer.callback_metrics["label_attention/loss"] > 0
