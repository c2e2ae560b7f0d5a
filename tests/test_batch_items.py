from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lgad_lightning.batch_items import image_of, label_of
from lgad_lightning.callbacks import LabelAttention, LabelGuidedAttentionDistillation
from lgad_lightning.errors import LgadError
from tests.callbacks.distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    WEIGHT,
    DictModule,
    Module,
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
        with pytest.raises(LgadError, match=r"\(2, 3, 16, 32\), one-hot planes.*label=.*argmax\(1\)"):
            trainer.fit(DictModule(net), batches)


IMAGE = make_batches(1)[0][0]
CLASSES = torch.tensor([0, 1])


@pytest.mark.parametrize(
    "batch",
    [
        (IMAGE, CLASSES, LABEL),
        {"image": IMAGE, "label": CLASSES, "mask": LABEL},
        (["a", "b"], IMAGE, LABEL),
        (["a", "b"], IMAGE[:, :1], LABEL),
        (IMAGE, LABEL, LABEL + 1),
        (IMAGE, LABEL[:, None].float(), CLASSES),
        {"pixel_values": IMAGE, "labels": LABEL},
    ],
)
def test_the_label_is_found_by_shape_and_type(batch: Any):
    assert torch.equal(label_of(batch).long(), LABEL)
    assert torch.equal(image_of(batch), IMAGE[:, : image_of(batch).shape[1]])


@pytest.mark.parametrize("where", ["road", 3, lambda batch: batch["road"]])
def test_the_place_can_be_given(where: Any):
    batch: Any = {"picture": IMAGE, "road": LABEL} if where != 3 else [CLASSES, LABEL + 1, IMAGE, LABEL]
    assert torch.equal(label_of(batch, where), LABEL)
    assert torch.equal(image_of(batch, "picture" if where != 3 else 2), IMAGE)


@pytest.mark.parametrize(
    ("batch", "where", "said"),
    [
        (
            ("a", IMAGE, LABEL, LABEL),
            None,
            r"several label maps in a batch of 0: str, 1: float32 \(2, 3, 16, 32\).*label=1",
        ),
        (
            (IMAGE, CLASSES),
            None,
            r"0: float32 \(2, 3, 16, 32\), 1: int64 \(2,\): give the teacher and the callback label=",
        ),
        ([IMAGE], None, r"0: float32 \(2, 3, 16, 32\): give the teacher"),
        ({"lanes": LABEL}, None, r"lanes: int64 \(2, 16, 32\): give the teacher and the callback label="),
        ({"lanes": LABEL}, "lane", r"label='lane': nothing there in a batch of lanes: int64"),
        ({"lanes": "a"}, "lanes", r"label='lanes' is a str, no tensor"),
        ({"lanes": CLASSES}, "lanes", r"the labels have the shape \(2,\) where"),
    ],
)
def test_an_unclear_batch_is_refused_with_its_contents(batch: Any, where: Any, said: str):
    with pytest.raises(LgadError, match=said):
        label_of(batch, where)


def test_a_step_may_take_its_batch_apart():
    class Popping(DictModule):
        def training_step(self, batch: dict[str, Tensor]) -> Any:
            image, label = batch.pop("image"), batch.pop("road")
            return {"loss": nn.functional.cross_entropy(self.net(image), label)}

    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Popping(net)
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, weight=WEIGHT, label="road")
    make_trainer(callback).fit(module, loader([{"image": image, "road": label} for image, label in make_batches()]))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


GREY, ANCHORS = IMAGE[:, :1], torch.zeros(2, 7, 3, dtype=torch.long)


@pytest.mark.parametrize(
    "batch",
    [
        ((GREY * 255).to(torch.uint8), LABEL.float()),
        (IMAGE, ANCHORS, LABEL),
        (IMAGE, LABEL.to(torch.uint16)),
    ],
)
def test_neither_grey_images_nor_row_anchors_are_taken_for_labels(batch: Any):
    assert torch.equal(label_of(batch).long(), LABEL)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ((GREY, one_hot(LABEL)), r"one-hot planes.*argmax\(1\)"),
        ((IMAGE, one_hot(LABEL).permute(0, 2, 3, 1)), r"one-hot planes.*argmax\(-1\)"),
        ((GREY, CLASSES), "no 'label' maps"),
        ((IMAGE, ANCHORS), "no 'label' maps.*label=1"),
    ],
)
def test_what_is_no_label_map_is_refused(batch: Any, said: str):
    with pytest.raises(LgadError, match=said):
        label_of(batch)


def test_a_batch_may_be_an_object():
    @dataclass
    class Batch:
        image: Tensor
        label: Tensor

    batch = Batch(IMAGE, LABEL)
    assert image_of(batch) is IMAGE
    assert label_of(batch) is label_of(batch, "label") is LABEL
    with pytest.raises(LgadError, match=r"road.*nothing there in a batch of image: float32.*label: int64"):
        label_of(batch, "road")


def test_labels_give_the_size_if_the_images_are_not_found():
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 24, 3, 4, 1), nn.LayerNorm(24)

        def forward(self, image: Tensor) -> Tensor:
            features: Tensor = self.norm(self.conv(image).permute(0, 2, 3, 1))
            return features

    class Hidden(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            features = self.net.stage1(batch["picture"]).permute(0, 3, 1, 2)
            return features.square().mean() - features.sum()

    shapes = []

    class Seen(LabelAttention):
        def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
            shapes.append(student_features[0].shape)
            return super().compute_loss(student_features, teacher_features)

    net: Any = nn.Module()
    net.stage1 = Last()
    make_trainer(Seen(["net.stage1"])).fit(Hidden(net), loader([{"picture": IMAGE, "label": LABEL}]))
    assert shapes == [(2, 24, 4, 8)]
