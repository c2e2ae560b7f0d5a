from pathlib import Path
from typing import Any

import cv2
import lightning as L
import pytest
import torch

from lgad_lightning.attention import attention_map
from lgad_lightning.attention_file import read_maps
from lgad_lightning.callbacks import (
    AttentionPictures,
    JointLabelGuidedAttentionDistillation,
    LabelAttention,
    LabelGuidedAttentionDistillation,
    SelfAttentionDistillation,
    draw_batch,
)
from lgad_lightning.callbacks.sight import see
from lgad_lightning.errors import LgadError
from lgad_lightning.lane_attention import balance_lanes

from .distillation_toys import (
    LAYERS,
    TEACHER_LAYERS,
    Module,
    TwoOptimizers,
    explicit_gradients,
    loader,
    make_batches,
    make_pair,
    make_trainer,
    one_hot,
    relative_error,
)


def cells(picture: Any) -> int:
    return picture.shape[1] // 286


def test_a_column_for_each_map():
    net, teacher = make_pair()
    module, batch = Module(net), make_batches(1)[0]
    lgad = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
    assert cells(draw_batch(module, batch)) == 3
    assert cells(draw_batch(module, batch, [lgad])) == 3 + 2 * 2
    family = [lgad, SelfAttentionDistillation(LAYERS), LabelAttention(LAYERS)]
    assert cells(draw_batch(module, batch, family)) == 3 + 4 + 2 + 4
    assert draw_batch(module, batch, count=1).shape[0] < draw_batch(module, batch, count=2).shape[0]


@pytest.mark.parametrize("compiled", [False, True])
def test_drawing_leaves_the_module_as_it_was(compiled: bool):
    net, teacher = make_pair()
    if compiled:
        net.compile(backend="aot_eager")
    module = Module(net).train()
    net.head.eval()
    draw_batch(module, make_batches(1)[0], [LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)])
    assert module.training
    assert not net.head.training
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(inner._forward_hooks for inner in module.modules())


def test_logits_of_another_size():
    class Coarse(Module):
        def forward(self, image: torch.Tensor) -> Any:
            return self.net(image)[..., ::8, ::8]

    image = torch.rand(2, 3, 47, 125)
    batch = {"image": image, "label": torch.zeros(2, 47, 125, dtype=torch.long)}
    assert cells(draw_batch(Coarse(), batch)) == 3


def test_mistakes_are_told_before_the_first_picture():
    with pytest.raises(LgadError, match="every_n_steps=0"):
        AttentionPictures(every_n_steps=0)

    class NoLabels(Module):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.net(batch["image"]).mean()

    trainer = make_trainer(AttentionPictures(every_n_steps=100))
    with pytest.raises(LgadError, match="no 'label' maps"):
        trainer.fit(NoLabels(), loader([{"image": image} for image, _ in make_batches(3)]))
    assert trainer.global_step == 1


def test_other_outputs_and_labels():
    class Binary(Module):
        def forward(self, image: torch.Tensor) -> Any:
            return {"logits": self.net(image)[:, :1]}

    image, label = make_batches(1)[0]
    assert cells(draw_batch(Binary(), {"image": image, "mask": label[:, None]})) == 3

    class Torchvisions(Module):
        def forward(self, image: torch.Tensor) -> Any:
            return {"out": self.net(image)}

    assert cells(draw_batch(Torchvisions(), {"image": image, "mask": label})) == 3

    class Pair(Module):
        def forward(self, image: torch.Tensor) -> Any:
            return self.net(image), image

    with pytest.raises(LgadError, match="returns tuple, so no prediction can be drawn"):
        draw_batch(Pair(), {"image": image, "mask": label})


@pytest.mark.parametrize("kind", [LabelGuidedAttentionDistillation, JointLabelGuidedAttentionDistillation])
def test_pictures_while_training_change_nothing(kind: Any, tmp_path: Path):
    seen = []
    for pictures in ([], [AttentionPictures(every_n_steps=2)]):
        net, teacher = make_pair()
        module, batches = Module(net), loader(make_batches(5))
        callback = kind(teacher, LAYERS, TEACHER_LAYERS)
        make_trainer(callback, *pictures, default_root_dir=tmp_path).fit(module, batches, loader(make_batches(1)))
        seen.append(module.recorder.seen)
    assert relative_error(*seen) == 0
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "step-0000002.npz",
        "step-0000002.png",
        "step-0000004.npz",
        "step-0000004.png",
        "step-0000005.npz",
        "step-0000005.png",
    ]
    assert cv2.imread(str(tmp_path / "pictures" / "step-0000005.png")) is not None


def test_pictures_go_where_they_are_wanted(tmp_path: Path):
    wanted = AttentionPictures(folder=tmp_path / "here")
    make_trainer(wanted, default_root_dir=tmp_path).fit(Module(), loader(make_batches(1)))
    assert [path.name for path in tmp_path.rglob("*.png")] == ["step-0000001.png"]
    assert (tmp_path / "here" / "step-0000001.png").is_file()


def test_the_maps_beside_a_picture_are_those_that_it_shows(tmp_path: Path):
    net, teacher = make_pair()
    lgad = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
    sight = see(Module(net), make_batches(1)[0], [lgad], count=1)
    picture = sight.write(tmp_path / "a.png")
    assert (cv2.imread(str(tmp_path / "a.png"))[..., ::-1] == picture).all()
    stored = read_maps(tmp_path / "a.npz")
    assert stored.images.shape[0] == 1
    assert (stored.images[0] == sight.images[0]).all()
    assert list(stored.pairs) == [f"lgad {layer.rsplit('.', 1)[-1]}" for layer in LAYERS]
    for name, (student, target) in sight.attention.items():
        torch.testing.assert_close(torch.from_numpy(stored.pairs[name].student), student, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(torch.from_numpy(stored.pairs[name].target), target, atol=1e-3, rtol=1e-3)


def test_layers_whose_names_end_alike_are_all_shown():
    net, teacher = make_pair()
    layers = ["encoder.stage1.0", "encoder.stage2.0"]
    lgad = LabelGuidedAttentionDistillation(teacher, [f"net.{layer}" for layer in layers], layers)
    sight = see(Module(net), make_batches(1)[0], [lgad])
    assert list(sight.attention) == ["lgad net.encoder.stage1.0", "lgad net.encoder.stage2.0"]


def test_a_module_without_forward_is_refused(tmp_path: Path):
    class Formless(Module):
        forward = L.LightningModule.forward

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            pytest.fail("ran")

    with pytest.raises(LgadError, match=r"add a forward\(images\)"):
        make_trainer(AttentionPictures(), default_root_dir=tmp_path).fit(Formless(), loader(make_batches()))


def test_a_fit_after_an_error_draws_again(tmp_path: Path):
    class Failing(Module):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if self.trainer.global_step == 3:
                raise RuntimeError("stop")

    pictures = AttentionPictures(every_n_steps=2)
    with pytest.raises(RuntimeError, match="stop"):
        make_trainer(pictures, default_root_dir=tmp_path / "first").fit(Failing(), loader(make_batches()))
    assert pictures._batch is None
    make_trainer(pictures, default_root_dir=tmp_path / "second").fit(Module(), loader(make_batches(2)))
    assert [path.name for path in (tmp_path / "second" / "pictures").iterdir()] == ["step-0000002.png"]


def test_pictures_without_distillation_or_validation(tmp_path: Path):
    make_trainer(AttentionPictures(), default_root_dir=tmp_path).fit(Module(), loader(make_batches()))
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["step-0000004.png"]


@pytest.mark.parametrize("asked", [False, True])
def test_loggers_get_images_when_asked(asked: bool, tmp_path: Path):
    tensorboard = pytest.importorskip("lightning.pytorch.loggers").TensorBoardLogger
    pytest.importorskip("tensorboard", reason="needs the loggers extra")
    logger = tensorboard(tmp_path)
    sent = []
    logger.experiment.add_image = lambda *args, **kwargs: sent.append((args[0], args[1].shape[2], args[2]))
    make_trainer(AttentionPictures(log_images=asked), logger=logger, default_root_dir=tmp_path).fit(
        Module(), loader(make_batches())
    )
    assert sent == ([("pictures", 3, 4)] if asked else [])


def test_a_picture_between_steps_does_not_change_the_distillation(tmp_path: Path):
    net, teacher = make_pair()
    wanted = explicit_gradients(net, teacher, make_batches())
    module = Module(net)
    callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS, weight=5.0)
    make_trainer(callback, AttentionPictures(1), default_root_dir=tmp_path).fit(module, loader(make_batches()))
    assert relative_error(module.recorder.seen, wanted) < 1e-5


@pytest.mark.parametrize("validated", [True, False])
def test_what_cannot_be_drawn_is_told_at_the_first_step(validated: bool, tmp_path: Path):
    class Inner(Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Conv2d(3, 4, 1)

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return super().training_step(batch, batch_idx) + self.inner(batch[0]).mean()

    module, teacher = Inner(), make_pair()[1]
    layers = ["net.encoder.stage1"] if validated else ["inner"]
    callback = LabelGuidedAttentionDistillation(teacher, layers, TEACHER_LAYERS[:1])
    batches = loader([(image, image) for image, _ in make_batches(1)] if validated else make_batches(1))
    trainer = make_trainer(callback, AttentionPictures(), default_root_dir=tmp_path)
    with pytest.raises(LgadError, match="label" if validated else "'inner' of the student did not run"):
        trainer.fit(module, loader(make_batches()), batches)
    assert trainer.global_step <= 1


def test_pictures_come_as_often_if_a_batch_has_several_steps(tmp_path: Path):
    trainer = make_trainer(AttentionPictures(every_n_steps=5), default_root_dir=tmp_path)
    trainer.fit(TwoOptimizers(), loader(make_batches(6)))
    steps = sorted(int(path.stem[5:]) for path in (tmp_path / "pictures").glob("*.png"))
    assert steps == [6, 10, 12]  # two steps a batch; the last is the end


def test_a_validation_step_may_draw(tmp_path: Path):
    teacher = make_pair()[1]

    class Drawing(Module):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            callback = LabelGuidedAttentionDistillation(teacher, LAYERS, TEACHER_LAYERS)
            drawn.append(cells(draw_batch(self, batch, [callback])))

    drawn: list[int] = []
    make_trainer().validate(Drawing(), loader(make_batches(1)))
    assert drawn == [7]


def test_maps_have_the_form_of_the_distillation():
    net, teacher = make_pair()
    batch = make_batches(1)[0]
    maps = []
    for options in ({"power": 1}, {"power": 1, "balanced": True}):
        lgad = LabelGuidedAttentionDistillation(teacher, LAYERS[:1], TEACHER_LAYERS[:1], **options)
        maps.append(see(Module(net), batch, [lgad]).attention["lgad stage1"])
    features = net.encoder.stage1(batch[0])
    torch.testing.assert_close(maps[0][0], features.detach().sum(1))
    inputs = LabelGuidedAttentionDistillation(teacher, LAYERS[:1], TEACHER_LAYERS[:1]).teacher_inputs(batch)
    target = attention_map(teacher.encoder.stage1(one_hot(*inputs)).detach(), 1)
    torch.testing.assert_close(maps[1][1], balance_lanes(target, batch[1]))
