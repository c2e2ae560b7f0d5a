import csv
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lgad_lightning.callbacks import (
    ChannelWiseDistillation,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    LogitsDistillation,
    SelfAttentionDistillation,
)
from lgad_lightning.callbacks.weight_schedule import describe_schedule, scheduled_weight
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    ManualModule,
    Module,
    TwoOptimizers,
    explicit_distance,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
)


def lgad(teacher: nn.Module, **options: Any) -> LabelGuidedAttentionDistillation:
    names = {"student_layers": LAYERS, "teacher_layers": TEACHER_LAYERS, "weight": WEIGHT}
    return LabelGuidedAttentionDistillation(teacher, **(names | options))


def train(callback: FeatureDistillation, module: Module | None = None, **options: Any) -> Module:
    module = Module() if module is None else module
    make_trainer(callback, **options).fit(module, loader(make_batches()))
    return module


def test_weight_between_start_and_end():
    _, teacher = make_pair()
    assert [lgad(teacher).weight_at(step) for step in (0, 10**9)] == [WEIGHT, WEIGHT]
    late = lgad(teacher, weight=1.0, start=10, end=20)
    assert [late.weight_at(step) for step in (0, 9, 10, 19, 20)] == [0, 0, 1, 1, 0]
    ramped = lgad(teacher, weight=1.0, start=10, ramp=4, end=20)
    assert [ramped.weight_at(step) for step in (9, 10, 11, 13, 14, 16, 17, 19, 20)] == [
        0,
        0.25,
        0.5,
        1,
        1,
        1,
        0.75,
        0.25,
        0,
    ]


def test_fractions_of_the_training():
    seen = {}

    class Spy(LabelGuidedAttentionDistillation):
        def weight_at(self, step: int) -> float:
            seen[step] = super().weight_at(step)
            return seen[step]

    _, teacher = make_pair()
    train(Spy(teacher, LAYERS, TEACHER_LAYERS, weight=1.0, start=0.25, end=0.75), max_epochs=2)
    assert [seen[step] for step in range(8)] == [0, 0, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (TwoOptimizers, {"max_epochs": 4}),
        (TwoOptimizers, {"max_epochs": -1, "max_steps": 32}),
        (Module, {"max_epochs": 4, "accumulate": {0: 4, 2: 1}}),
        (Module, {"max_epochs": 4, "accumulate": {0: 1, 2: 4}}),
    ],
)
def test_a_fraction_is_a_share_of_the_batches_whatever_counts_as_a_step(kind: Any, options: dict[str, Any]):
    seen = []

    class Spy(LabelGuidedAttentionDistillation):
        def weight_at(self, step: int) -> float:
            seen.append(super().weight_at(step))
            return seen[-1]

    _, teacher = make_pair()
    accumulate = options.pop("accumulate", None)
    others = [] if accumulate is None else [GradientAccumulationScheduler(accumulate)]
    spy = Spy(teacher, LAYERS, TEACHER_LAYERS, weight=1.0, start=0.25, end=0.5)
    make_trainer(spy, *others, **options).fit(kind(), loader(make_batches()))
    assert seen[-16:] == [0] * 4 + [1] * 4 + [0] * 8


def test_whole_numbers_of_numpy_are_steps():
    _, teacher = make_pair()
    late = lgad(teacher, weight=1.0, start=np.int64(3))
    assert [late.weight_at(step) for step in (2, 3)] == [0, 1]
    assert "from step 3" in describe_schedule(1.0, late.start, 0, None)


def test_a_fraction_needs_an_end():
    _, teacher = make_pair()
    with pytest.raises(LgadError, match="length of the training is not known"):
        train(lgad(teacher, start=0.5), max_epochs=-1)


@pytest.mark.parametrize(
    "wrong", [{"start": 1.5}, {"ramp": -1}, {"end": -0.1}, {"start": float("nan")}, {"start": "0.1"}]
)
def test_impossible_times_are_refused(wrong: dict[str, Any]):
    _, teacher = make_pair()
    with pytest.raises(LgadError, match=f"{next(iter(wrong))}=.*fraction of the training"):
        lgad(teacher, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"student_layers": ["net.encoder.stage3"]}, {"teacher_layers": ["stage1", "stage2"]}]
)
def test_a_wrong_name_fails_before_anything_runs(wrong: dict[str, list[str]]):
    _, teacher = make_pair()
    module = Module()
    module.validation_step = module.training_step = lambda *args: pytest.fail("ran")  # type: ignore[method-assign]
    with pytest.raises(LgadError, match=r"did you mean (net\.)?encoder\.stage"):
        make_trainer(lgad(teacher, **wrong)).fit(module, loader(make_batches()), loader(make_batches()))


@pytest.mark.parametrize("kind", [LabelGuidedAttentionDistillation, JointLabelGuidedAttentionDistillation])
def test_layers_are_checked_ahead_of_a_fit(kind: type[LabelGuidedAttentionDistillation]):
    _, teacher = make_pair()
    module = Module()
    kind(teacher, LAYERS, TEACHER_LAYERS).check_layers(module)
    SelfAttentionDistillation(LAYERS).check_layers(module)
    with pytest.raises(LgadError, match=r"no layer of the student.*did you mean net\.encoder\.stage"):
        kind(teacher, ["net.encoder.stage3"]).check_layers(module)
    with pytest.raises(LgadError, match=r"no layer of the teacher.*did you mean encoder\.stage"):
        kind(teacher, LAYERS, ["stage1", "stage2"]).check_layers(module)
    with pytest.raises(LgadError, match="did you mean"):
        LabelAttention(["encoder.stage1"]).check_layers(module)
    assert "training_step" not in vars(module)
    assert not any(inner._forward_hooks for inner in [*module.modules(), *teacher.modules()])


def test_stages_are_paired_automatically():
    _, teacher = make_pair()
    named, automatic = (
        train(lgad(teacher, **layers), _module()) for layers in ({}, {"student_layers": None, "teacher_layers": None})
    )
    for one, other in zip(named.recorder.seen, automatic.recorder.seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _module() -> Module:
    torch.manual_seed(5)
    return Module()


def test_layers_made_in_configure_model_are_found():
    class Late(Module):
        def __init__(self) -> None:
            super().__init__(nn.Identity())

        def configure_model(self) -> None:
            self.net = make_pair()[0]

    _, teacher = make_pair()
    assert train(lgad(teacher), Late()).recorder.seen


def test_a_layer_without_gradient_is_named_and_a_frozen_one_is_not():
    class Blind(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            with torch.no_grad():
                inner = self.net.encoder(batch[0])
            return self.net.head(inner).square().mean()

    _, teacher = make_pair()
    with pytest.raises(LgadError, match=r"'net\.encoder\.stage1' of the student carries no gradient"):
        train(lgad(teacher), Blind())
    frozen = Module()
    frozen.net.encoder.requires_grad_(False)
    with pytest.warns(
        UserWarning, match=r"'net\.encoder\.stage1' of the student and all layers before it are frozen"
    ) as said:
        assert train(lgad(teacher), frozen).recorder.seen
    assert sum("frozen" in str(warning.message) for warning in said) == len(LAYERS)


def test_a_name_in_a_frozen_encoder_is_a_frozen_layer():
    class Named(nn.Module):
        def __init__(self, body: nn.Module) -> None:
            super().__init__()
            self.stage1, self.body = nn.Identity(), body

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.stage1(self.body(x))
            return out

    net, teacher = make_pair()
    net.encoder.stage1 = Named(net.encoder.stage1.requires_grad_(False))
    callback = LabelGuidedAttentionDistillation(teacher, ["net.encoder.stage1.stage1"], TEACHER_LAYERS[:1])
    with pytest.warns(
        UserWarning, match=r"'net\.encoder\.stage1\.stage1' of the student and all layers before it are frozen"
    ):
        train(callback, Module(net))


def test_a_layer_after_trainable_layers_does_not_count_as_frozen(recwarn: pytest.WarningsRecorder):
    net, teacher = make_pair()
    net.encoder.stage2.requires_grad_(False)
    train(lgad(teacher, student_layers=LAYERS[1:], teacher_layers=TEACHER_LAYERS[1:]), Module(net))
    assert not [warning for warning in recwarn if "frozen" in str(warning.message)]


def test_training_step_may_be_called_in_validation():
    class Borrowing(Module):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            losses.append(float(self.training_step(batch=batch, batch_idx=batch_idx)))

        def on_train_epoch_end(self) -> None:
            with torch.no_grad():
                losses.append(float(self.training_step(make_batches(1)[0], 0)))

    net, teacher = make_pair()
    losses: list[float] = []
    image, label = make_batches(1)[0]
    with torch.no_grad():
        plain = nn.functional.cross_entropy(net(image), label).item()
    batches = loader(make_batches(1))
    make_trainer(lgad(teacher), num_sanity_val_steps=1).fit(Borrowing(net), batches, batches)
    assert len(losses) == 3
    assert losses[0] == pytest.approx(plain)  # the task's alone


def test_dataloader_iter_is_refused():
    class Odd(Module):
        def training_step(self, dataloader_iter: Any) -> Any:
            pytest.fail("ran")

    _, teacher = make_pair()
    with pytest.raises(LgadError, match="dataloader_iter"):
        train(lgad(teacher), Odd())


def test_a_batch_without_a_label_says_what_to_do():
    class Unlabelled(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.net(batch["picture"]).mean()

    _, teacher = make_pair()
    batches = [{"picture": image, "lanes": label} for image, label in make_batches()]
    with pytest.raises(
        LgadError,
        match=r"'label'.*picture: float32 \(2, 3, 16, 32\), lanes: int64.*give the teacher and",
    ):
        make_trainer(lgad(teacher)).fit(Unlabelled(), loader(batches))


@pytest.mark.parametrize(
    "form", [{"normalisation": "l3"}, {"distance": "kl"}, {"reduction": "mean"}, {"distance": "cosine"}]
)
def test_a_form_that_does_not_exist_fails_at_once(form: dict[str, str]):
    with pytest.raises(LgadError):
        lgad(nn.Identity(), **form)


def test_a_missing_teacher_is_asked_for():
    with pytest.raises(LgadError, match="LabelGuidedAttentionDistillation needs a teacher"):
        train(lgad(None))  # type: ignore[arg-type]


def test_compute_loss_must_be_overridden():
    net, _ = make_pair()
    with pytest.raises(NotImplementedError, match="FeatureDistillation must override compute_loss"):
        train(FeatureDistillation(net.eval(), LAYERS, TEACHER_LAYERS))


def test_backward_instead_of_manual_backward_is_noticed():
    class Direct(ManualModule):
        def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
            pytest.fail("not called")

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.net(batch[0]).square().mean().backward()
            optimizer.step()

    _, teacher = make_pair()
    with pytest.warns(UserWarning, match="nothing was distilled"):
        train(lgad(teacher), Direct())


def test_what_is_logged(tmp_path):
    net, teacher = make_pair()
    image, label = make_batches(1)[0]
    (first, second), inner = net.encoder.stages(image)
    with torch.no_grad():
        targets, _ = teacher.encoder.stages(one_hot(label))
    losses = [explicit_distance([s], [t]) for s, t in zip((first, second), targets, strict=True)]
    task = nn.functional.cross_entropy(nn.functional.interpolate(net.head(inner), image.shape[-2:]), label)
    (ours,) = torch.autograd.grad(WEIGHT * losses[1], second, retain_graph=True)
    (its,) = torch.autograd.grad(task, second)
    logger = CSVLogger(tmp_path)
    trainer = make_trainer(lgad(teacher), logger=logger, log_every_n_steps=1, accumulate_grad_batches=2)
    trainer.fit(Module(net), loader([(image, label)] * 2))
    found = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert found["lgad/loss"] == pytest.approx(sum(float(loss.detach()) for loss in losses), rel=1e-4)
    assert found["lgad/weight"] == WEIGHT
    assert found["lgad/loss/net.encoder.stage2"] == pytest.approx(float(losses[1].detach()), rel=1e-4)
    assert found["lgad/gradient_ratio/net.encoder.stage2"] == pytest.approx(float(ours.norm() / its.norm()), rel=1e-3)
    assert 1 < found["lgad/student_perplexity/net.encoder.stage2"] <= 32
    assert 1 < found["lgad/teacher_perplexity/net.encoder.stage2"] <= 32
    assert -1 <= found["lgad/agreement/net.encoder.stage1"] <= 1
    logger.save()
    assert "lgad/gradient_ratio/net.encoder.stage1" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Module, {}), (Module, {"accumulate_grad_batches": 3}), (TwoOptimizers, {})],
    ids=["plain", "accumulating", "manual"],
)
def test_figures_are_those_of_the_steps_that_the_logger_writes(kind: type[Module], options: dict[str, int], tmp_path):
    _, teacher = make_pair()
    callback = lgad(teacher)
    logger = CSVLogger(tmp_path)
    trainer = make_trainer(callback, logger=logger, log_every_n_steps=2, max_epochs=2, **options)
    trainer.fit(kind(), loader(make_batches(7)))
    rows = rows_of(logger)
    assert len(rows) == (3 if options else 7)
    for row in rows:
        assert row["lgad/loss"] == pytest.approx(sum(row[f"lgad/loss/{layer}"] for layer in LAYERS), rel=1e-4)
        assert row["lgad/gradient_ratio/net.encoder.stage2"] > 0


def test_logging_never_changes_the_training():
    class Masked(LabelGuidedAttentionDistillation):
        def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
            calls.append(len(student_features))
            masked = [features * (torch.rand_like(features) > 0.5) for features in student_features]
            return super().compute_loss(masked, teacher_features)

    calls: list[int] = []
    weights = []
    for every in (1, 100):
        net, teacher = make_pair()
        train(Masked(teacher, LAYERS, TEACHER_LAYERS, weight=WEIGHT), Module(net), log_every_n_steps=every)
        weights.append(nn.utils.parameters_to_vector(net.parameters()))
    assert torch.equal(*weights)
    assert len(calls) == 2 * 4


def rows_of(logger: CSVLogger) -> list[dict[str, float]]:
    """What a logger has written, NaN for what it has not."""
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        return [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]


def test_nothing_stale_is_logged_while_the_weight_is_zero(tmp_path):
    _, teacher = make_pair()
    logger = CSVLogger(tmp_path)
    callback = lgad(teacher, start=1, end=3)
    make_trainer(callback, logger=logger, log_every_n_steps=1).fit(Module(), loader(make_batches(6)))
    rows = rows_of(logger)
    assert [row["lgad/weight"] for row in rows] == [0, WEIGHT, WEIGHT, 0, 0, 0]
    figures = [name for name in rows[0] if name.startswith("lgad/") and name != "lgad/weight"]
    assert len(figures) == 1 + 5 * len(LAYERS)
    for figure in figures:
        assert [isfinite(row[figure]) for row in rows] == [False, True, True, False, False, False], figure


def test_figures_resume_after_a_gap(tmp_path):
    class Pausing(LabelGuidedAttentionDistillation):
        def weight_at(self, step: int) -> float:
            return float(step != 1)

    _, teacher = make_pair()
    logger = CSVLogger(tmp_path)
    callback = Pausing(teacher, LAYERS, TEACHER_LAYERS)
    make_trainer(callback, logger=logger, log_every_n_steps=1).fit(Module(), loader(make_batches(3)))
    for figure in ("loss", "loss/net.encoder.stage1", "gradient_ratio/net.encoder.stage1"):
        assert [isfinite(row[f"lgad/{figure}"]) for row in rows_of(logger)] == [True, False, True], figure


def test_saturation_is_warned_of_once():
    net, teacher = make_pair()
    with torch.no_grad():
        teacher.encoder.stage2[1].weight.fill_(100.0)
    with pytest.warns(
        UserWarning, match=r"net\.encoder\.stage2 the teacher's attention is all on 1\..* of 32 cells"
    ) as said:
        train(lgad(teacher, normalisation="softmax"), Module(net), log_every_n_steps=1)
    assert sum("cells" in str(warning.message) for warning in said) == 1


@pytest.mark.parametrize(
    ("normalisation", "remedy"),
    [("softmax", "use 'l2' or 'zscore'"), ("zscore", "use normalisation='l2'"), ("l2", "name another layer")],
)
def test_saturation_counts_the_teachers_cells_and_recommends_something_else(normalisation: Any, remedy: str):
    class Spike(nn.Module):
        def forward(self, label: Tensor) -> Tensor:
            return self.stage1(nn.functional.one_hot(label[:, 0, 0] * 0, 128).view(-1, 1, 8, 16) * 100.0)

    teacher = Spike()
    teacher.stage1 = nn.Identity()
    callback = lgad(teacher, student_layers=LAYERS[1:], teacher_layers=["stage1"], normalisation=normalisation)
    with pytest.warns(UserWarning, match=rf"teacher's attention is all on 1\.\d of 128 cells.*{remedy}"):
        train(callback, Module(make_pair()[0]), log_every_n_steps=1)


def test_flat_maps_give_a_warning():
    class ChannelNorm(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    net, teacher = make_pair()
    net.encoder.stage2[2] = ChannelNorm(4, eps=1e-12)
    with pytest.warns(
        UserWarning, match=r"at net\.encoder\.stage2 the student's attention is the same on all 32"
    ) as said:
        train(lgad(teacher), Module(net), log_every_n_steps=1)
    assert sum("nothing can be learnt" in str(warning.message) for warning in said) == 1


def test_each_kind_of_warning_is_given():
    class Alternating(ManualModule):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            loss = self.net(batch[0]).square().mean()
            if batch_idx % 2:
                loss.backward()
            else:
                self.manual_backward(loss)

    net, teacher = make_pair()
    with torch.no_grad():
        teacher.encoder.stage2[1].weight.fill_(100.0)
    with pytest.warns(UserWarning, match="cells") as said:
        train(lgad(teacher, normalisation="softmax"), Alternating(net), log_every_n_steps=1)
    for kind in ("cells", "nothing was distilled"):
        assert sum(kind in str(warning.message) for warning in said) == 1


def test_the_default_form_does_not_saturate(recwarn: pytest.WarningsRecorder):
    net, teacher = make_pair()
    train(lgad(teacher), Module(net), log_every_n_steps=1)
    assert not [warning for warning in recwarn if "cells" in str(warning.message)]


@pytest.mark.parametrize("output", [{"los": torch.ones(())}, (torch.ones(()),)], ids=["a dict without loss", "a tuple"])
def test_lightning_says_what_a_step_must_return(output: Any):
    class Wrong(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            super().training_step(batch, batch_idx)
            return output

    with pytest.raises(MisconfigurationException, match="training_step"):
        make_trainer(LabelAttention(LAYERS)).fit(Wrong(make_pair()[0]), loader(make_batches(1)))


@pytest.mark.parametrize("times", [{"start": 0.6, "end": 0.4}, {"start": 20, "end": 20}, {"end": 0}])
def test_an_end_before_the_start_is_refused(times: dict[str, Any]):
    with pytest.raises(LgadError, match="the end must be after the start"):
        lgad(make_pair()[1], **times)


@pytest.mark.parametrize("start", [5000, 1.0])
def test_a_start_after_the_end_of_the_training_is_told(start: float):
    with pytest.warns(UserWarning, match=r"is not before the end of the training \(4 steps\), so nothing is distilled"):
        train(lgad(make_pair()[1], start=start))


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_impossible_temperatures_are_refused(temperature: float):
    _, teacher = make_pair()
    for kind, options in (
        (LabelGuidedAttentionDistillation, {"normalisation": "softmax"}),
        (ChannelWiseDistillation, {}),
        (LogitsDistillation, {}),
    ):
        with pytest.raises(LgadError, match="temperature must be above 0"):
            kind(teacher, LAYERS, TEACHER_LAYERS, temperature=temperature, **options)


def test_a_frozen_joint_teacher_is_refused():
    _, teacher = make_pair()
    with pytest.raises(LgadError, match="all its parameters are frozen"):
        train(JointLabelGuidedAttentionDistillation(teacher.requires_grad_(False), LAYERS, TEACHER_LAYERS))


def test_a_weight_may_be_a_number_of_numpy():
    assert LabelAttention(["net"], weight=np.float32(0.5)).weight == 0.5


def test_an_end_within_a_step_does_not_weaken_the_last_one():
    assert scheduled_weight(28, 0.3, start=0, ramp=0, end=28.8) == 0.3
