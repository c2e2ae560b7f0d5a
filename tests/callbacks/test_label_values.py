from argparse import Namespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning import ERFNet, LaneTeacher
from lgad_lightning.callbacks import (
    InterRegionAffinityDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.label_values import classes_of

from .distillation_toys import Module, Net, loader, make_batches, make_pair, make_trainer

IMAGE, LABEL = make_batches(1)[0]
VOID = torch.where(LABEL == 2, 250, LABEL)


class Unlabelled(Module):
    """Trains on something else, whatever the label holds."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.net(batch[0]).square().mean()


def lgad(**options: Any) -> LabelGuidedAttentionDistillation:
    torch.manual_seed(0)
    teacher = LaneTeacher(ERFNet(num_classes=5, in_channels=5, input_size=(16, 32)))
    layers = ["net.encoder.stage1"], ["network.encoder.stage1"]
    return LabelGuidedAttentionDistillation(teacher, *layers, **options)


def loss(callback: Any, label: Tensor, count: int = 1) -> float:
    torch.manual_seed(0)
    trainer = make_trainer(callback)
    trainer.fit(Unlabelled(Net()), loader([(IMAGE, label)] * count))
    return float(trainer.callback_metrics[f"{callback.name}/loss"])


@pytest.mark.parametrize("make", [lgad, lambda **options: LabelAttention(["net.encoder.stage1"], **options)])
def test_the_value_of_ignored_pixels_can_be_given(make: Any):
    wanted = loss(make(), torch.where(LABEL == 2, 255, LABEL))
    assert loss(make(ignore_index=250), VOID) == pytest.approx(wanted, rel=1e-6)
    assert loss(make(ignore_index=-100), torch.where(LABEL == 2, -100, LABEL)) == pytest.approx(wanted, rel=1e-6)


def test_classes_beyond_the_teachers_are_refused():
    for label in (VOID, LABEL + 3):
        with pytest.raises(LgadError, match=r"the teacher has the classes 0 to 4: set ignore_index="):
            loss(lgad(), label)


@pytest.mark.parametrize("wrong", [LABEL - 1, LABEL / 2])
def test_values_that_are_no_classes_are_refused(wrong: Tensor):
    for callback in (lgad(), LabelAttention(["net.encoder.stage1"])):
        with pytest.raises(LgadError, match="not only the numbers of classes"):
            loss(callback, wrong)


def test_a_wrong_label_is_refused_at_once_though_the_distillation_starts_late():
    with pytest.raises(LgadError, match="the teacher has"):
        loss(lgad(start=100), VOID)


def test_void_pixels_that_count_are_warned_of():
    with pytest.warns(UserWarning, match="the labels hold 250, which counts as a lane.*ignore_index="):
        loss(LabelAttention(["net.encoder.stage1"]), VOID)


def test_masks_of_0_and_255_are_warned_of():
    mask = (LABEL == 1) * 255
    for callback in (lgad(), LabelAttention(["net.encoder.stage1"])):
        with pytest.warns(UserWarning, match="nothing but background") as said:
            loss(callback, mask, count=5)
        assert sum("nothing but background" in str(warning.message) for warning in said) == 1
    found = loss(LabelAttention(["net.encoder.stage1"], ignore_index=None), mask)
    assert found == pytest.approx(loss(LabelAttention(["net.encoder.stage1"]), (LABEL == 1).long()), rel=1e-6)


def test_single_batches_without_a_lane_are_not_warned_of(recwarn: pytest.WarningsRecorder):
    net, _ = make_pair()
    labels = [LABEL * 0, LABEL * 0, LABEL, LABEL * 0]
    make_trainer(LabelAttention(["net.encoder.stage1"])).fit(Module(net), loader([(IMAGE, one) for one in labels]))
    assert not [warning for warning in recwarn if "background" in str(warning.message)]


def test_the_students_classes_do_not_matter_where_there_is_no_teacher():
    """The step may make two classes of the labels."""
    module = Module()
    module.num_classes = 2
    module.training_step = lambda batch, batch_idx: F.relu(module.net(batch[0])).mean()  # type: ignore[method-assign]
    trainer = make_trainer(LabelAttention(["net.encoder.stage1"]))
    trainer.fit(module, loader([(IMAGE, LABEL * 3)]))
    assert trainer.callback_metrics["label_attention/loss"] > 0


@pytest.mark.parametrize("ignore_index", [255, None])
def test_the_labels_of_regions_are_looked_at_too(ignore_index: int | None):
    net, _ = make_pair()
    layers = ["net.encoder.stage1"], ["encoder.stage1"]
    callback = InterRegionAffinityDistillation(net, *layers, ignore_index=ignore_index)
    said = "nothing but background" if ignore_index else "hold 255, which counts as a lane"
    with pytest.warns(UserWarning, match=said):
        make_trainer(callback).fit(Unlabelled(net), loader([(IMAGE, (LABEL > 0) * 255)] * 3))


def test_a_step_may_change_the_labels_of_its_batch():
    class Clears(Unlabelled):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            batch[1].zero_()
            return super().training_step(batch, batch_idx)

    class Seen(LabelAttention):
        def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
            assert teacher_features[0].sum() > 0
            return super().compute_loss(student_features, teacher_features)

    make_trainer(Seen(["net.encoder.stage1"])).fit(Clears(Net()), loader([(IMAGE, LABEL.clone())]))


@pytest.mark.parametrize("hparams", [{"num_classes": 3}, Namespace(num_classes=3), Namespace(), None])
def test_hyperparameters_of_any_kind_may_tell_the_classes(hparams: Any):
    network = Net()
    network.hparams = hparams
    assert classes_of(network) == (3 if hparams in ({"num_classes": 3}, Namespace(num_classes=3)) else None)
