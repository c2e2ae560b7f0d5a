import pytest
import torch
from torch import Tensor

from lgad_lightning.callbacks import LabelAttention, LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.batch_items import label_of
from lgad_lightning.errors import LgadError

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    DictModule,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)

LABEL = make_batches(1)[0][1]


@pytest.mark.parametrize("label", [LABEL, LABEL[:, None]], ids=["BHW", "B1HW"])
def test_labels_with_or_without_a_plane(label: Tensor):
    for batch in ({"image": None, "mask": label}, {"label": label}, (None, label), [None, label, "name"]):
        assert torch.equal(label_of(batch), LABEL)


def test_masks_with_a_plane_reach_the_teacher_without():
    class Masked(DictModule):
        def training_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            return super().training_step({"image": batch["image"], "label": batch["mask"][:, 0]})

    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Masked(net)
    batches = [{"image": image, "mask": label[:, None]} for image, label in make_batches()]
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, weight=WEIGHT)
    make_trainer(callback).fit(module, loader(batches))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


@pytest.mark.parametrize("override", [False, True])
def test_one_hot_labels_are_refused_until_they_are_translated(override: bool):
    class Translated(LabelAttention):
        def teacher_inputs(self, batch: dict[str, Tensor]) -> tuple[Tensor]:
            return (batch["planes"].argmax(1),) if override else (label_of({"mask": batch["planes"]}),)

    net, _ = make_pair()
    batches = loader([{"image": image, "label": label, "planes": one_hot(label)} for image, label in make_batches(1)])
    trainer = make_trainer(Translated(LAYERS))
    if override:
        trainer.fit(DictModule(net), batches)
        assert trainer.callback_metrics["label_attention/loss"] > 0
    else:
        with pytest.raises(LgadError, match=r"\(2, 3, 16, 32\), one-hot planes.*override teacher_inputs.*argmax\(1\)"):
            trainer.fit(DictModule(net), batches)
