from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn

from lgad_lightning.callbacks import (
    AttentionTransfer,
    FeatureDistillation,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
)
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    LabelNet,
    ManualModule,
    Module,
    loader,
    make_batches,
    make_pair,
    make_trainer,
)


class Returning(FeatureDistillation):
    """Returns what it is told to."""

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Any:
        return self.returned(student_features, teacher_features)


def fit(*callbacks: Any, **options: Any) -> None:
    make_trainer(*callbacks, **options).fit(Module(make_pair()[0]), loader(make_batches()))


def returning(function: Any) -> Returning:
    callback = Returning(make_pair()[0].eval(), LAYERS, TEACHER_LAYERS)
    callback.returned = function
    return callback


@pytest.mark.parametrize("kind", [LabelGuidedAttentionDistillation, AttentionTransfer])
def test_a_path_as_teacher_is_refused(kind: Any):
    with pytest.raises(LgadError, match=r"teacher='teacher.ckpt' .* is a str, not a network.*load_teacher\(path"):
        kind("teacher.ckpt")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda student, teacher: {"loss": student[0].mean()}, "returned a dict"),
        (lambda student, teacher: None, "returned a NoneType"),
        (lambda student, teacher: student[0].mean((1, 2, 3)), r"returned a tensor \(2,\)"),
    ],
)
def test_a_loss_is_a_scalar(returned: Any, said: str):
    with pytest.raises(LgadError, match=f"compute_loss of Returning {said}: return a scalar tensor"):
        fit(returning(returned))


def test_unequal_channels_name_the_layers():
    _, teacher = make_pair()
    callback = Returning(teacher, LAYERS, TEACHER_LAYERS, label=1)
    callback.teacher_inputs = lambda batch: (batch[1],)  # type: ignore[method-assign]
    callback.returned = lambda student, teacher: (student[0] - teacher[0]).square().mean()
    with pytest.raises(LgadError, match=r"net\.encoder\.stage1: \(2, 4, 8, 16\) and \(2, 6, 8, 16\)"):
        fit(callback)


def test_an_error_that_has_nothing_to_do_with_shapes_stays_as_it_is():
    def fail(student: Any, teacher: Any) -> Any:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match=r"^mine$"):
        fit(returning(fail))


def test_two_of_one_name_are_refused():
    with pytest.raises(LgadError, match=r"both named 'label_attention'.*name="):
        fit(LabelAttention(LAYERS[:1]), LabelAttention(LAYERS[1:]))
    fit(LabelAttention(LAYERS[:1]), LabelAttention(LAYERS[1:], name="second"))


def test_two_joint_distillations_of_one_name_are_refused():
    first, second = (JointLabelGuidedAttentionDistillation(LabelNet(), LAYERS, TEACHER_LAYERS) for _ in range(2))
    with pytest.raises(LgadError, match=r"both named 'joint_lgad'.*name="):
        fit(first, second)


@pytest.mark.parametrize("when", [{"start": 0.5}, {"end": 2}, {"start": 1, "ramp": 1}])
def test_early_stopping_on_a_figure_that_is_sometimes_missing_is_refused(when: dict[str, Any]):
    stopping = EarlyStopping("label_attention/loss", check_on_train_epoch_end=True)
    with pytest.raises(LgadError, match="EarlyStopping monitors 'label_attention/loss', which is NaN while"):
        fit(LabelAttention(LAYERS, **when), stopping)
    fit(LabelAttention(LAYERS), EarlyStopping("label_attention/loss", check_on_train_epoch_end=True))


def test_a_module_of_pytorch_lightning_trains_under_its_own_trainer():
    pl = pytest.importorskip("pytorch_lightning", reason="needs the package pytorch_lightning")

    class Stranger(pl.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = make_pair()[0]

        training_step = Module.training_step

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = pl.Trainer(
        callbacks=[LabelAttention(LAYERS)],
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Stranger(), loader(make_batches()))
    assert trainer.callback_metrics["label_attention/loss"] > 0


def test_a_module_that_nothing_trains_is_warned_of(recwarn: pytest.WarningsRecorder):
    callback = returning(lambda student, teacher: student[0].mean())
    callback.adapter = nn.Conv2d(4, 6, 1)
    with pytest.warns(UserWarning, match=r"Returning\.adapter is not trained: return it from trainable_modules"):
        fit(callback)
    callback.adapter.requires_grad_(False)
    recwarn.clear()
    fit(callback)
    assert not [warning for warning in recwarn if "trainable_modules" in str(warning.message)]


def test_unequal_numbers_of_images_are_refused():
    """They would be compared with each other all the same, if one side has one image."""

    class Chunks(ManualModule):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            for image, label in zip(batch[0].split(1), batch[1].split(1), strict=True):
                self.manual_backward(F.cross_entropy(self.net(image), label))

    net, teacher = make_pair()
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
    with pytest.raises(LgadError, match=r"stage1: the student's layer saw 1 images, but there are 2 targets"):
        make_trainer(callback).fit(Chunks(net), loader(make_batches(1)))


def test_inputs_of_the_teacher_are_a_tuple():
    class Bare(AttentionTransfer):
        def teacher_inputs(self, batch: Any) -> Any:
            return batch[1]

    with pytest.raises(LgadError, match="teacher_inputs of Bare returned a Tensor: return a tuple"):
        fit(Bare(make_pair()[1], LAYERS, TEACHER_LAYERS))


def test_images_that_the_teacher_cannot_use_are_named():
    class Converts(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0] / 255), batch[1])

    batches = [((image * 255).to(torch.uint8), label) for image, label in make_batches(1)]
    callback = AttentionTransfer(make_pair()[0], LAYERS, TEACHER_LAYERS)
    with pytest.raises(LgadError, match="cannot use images of uint8, as they are in the batch"):
        make_trainer(callback).fit(Converts(), loader(batches))


@pytest.mark.parametrize("given", [{"teacher_layers": ["a"]}, {"teacher": None}])
def test_the_control_takes_no_teacher(given: dict[str, Any]):
    with pytest.raises(LgadError, match=r"LabelAttention has no teacher.*leave out teacher"):
        LabelAttention(LAYERS, **given)
