import pickle
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from lgad_lightning import LabelGuidedAttentionDistillation, LaneStudent, LaneTeacher, load_teacher
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULaneDecoder, Frame, Lane
from lgad_lightning.metrics import CULaneF1
from lgad_lightning.modules import LaneModule, encode_label
from lgad_lightning.modules.weights import STUDENT
from lgad_lightning.networks import ERFNet, LaneOutput

SIZE = (32, 96)


def network(in_channels: int = 3) -> ERFNet:
    torch.manual_seed(0)
    return ERFNet(num_classes=5, in_channels=in_channels, input_size=SIZE, channels=(8, 16, 24))


def student(**options: Any) -> LaneStudent:
    return LaneStudent(network(), CULaneDecoder(), CULaneF1(), **options)


def batch(label: Tensor | None = None) -> dict[str, Any]:
    torch.manual_seed(1)
    label = torch.randint(0, 5, (2, *SIZE)) if label is None else label
    lane = Lane([[800, 590], [820, 300], [825, 260]], (590, 1640))
    return {
        "image": torch.randn(2, 3, *SIZE),
        "label": label,
        "existence": torch.tensor([[1.0, 0, 1, 0], [0, 1, 1, 1]]),
        "name": ["a.jpg", "b.jpg"],
        "frame": [Frame(590, 1640)] * 2,
        "evaluation": {"target": [[lane], []], "images": ["a.jpg", "b.jpg"]},
    }


def loader(count: int = 2) -> DataLoader[Any]:
    return DataLoader([batch()] * count, batch_size=None)


def trainer(folder: Path, **options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(accelerator="cpu", default_root_dir=folder, **{"max_epochs": 1} | quiet | options)


def test_the_training_loss_is_the_weighted_sum_of_its_terms() -> None:
    module, given = student().eval(), batch()
    output = module(given["image"])
    weight = torch.tensor([0.4, 1, 1, 1, 1])
    cross_entropy = F.cross_entropy(output.logits, given["label"], weight)
    existence = F.binary_cross_entropy(output.existence.sigmoid(), given["existence"])
    probability, truth = output.logits.softmax(1), F.one_hot(given["label"], 5).permute(0, 3, 1, 2)
    intersection, total = (probability * truth).sum((0, 2, 3)), (probability + truth).sum((0, 2, 3))
    iou = (1 - intersection / (total - intersection))[1:].mean()
    expected = cross_entropy + 0.1 * iou + 0.1 * existence
    torch.testing.assert_close(module.training_step(given, 0), expected)


def test_a_batch_without_lanes_trains() -> None:
    for label in (torch.zeros(2, *SIZE, dtype=torch.long), torch.full((2, *SIZE), 255)):
        module, given = student(), batch(label)
        given["existence"] = torch.zeros(2, 4)
        loss = module.training_step(given, 0)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


def test_the_teachers_input_is_one_hot_and_empty_where_ignored() -> None:
    label = torch.tensor([[[0, 4], [255, 2]]])
    planes = encode_label(label, 5)
    assert planes.shape == (1, 5, 2, 2)
    assert planes[0, :, 1, 0].tolist() == [0] * 5
    assert planes.argmax(1)[label != 255].tolist() == [0, 4, 2]


def test_label_maps_of_lane_or_not_may_be_bool() -> None:
    label = batch()["label"] > 2
    assert torch.equal(encode_label(label, 2), encode_label(label.long(), 2))


def test_the_teacher_learns_to_reproduce_label_maps(tmp_path: Path) -> None:
    label = torch.zeros(2, *SIZE, dtype=torch.long)
    label[:, :, 30:36], label[:, 8:, 60:66] = 2, 3
    teacher = LaneTeacher(network(5), optimizer=lambda p: torch.optim.Adam(p, lr=1e-2), scheduler=None)
    with torch.no_grad():
        before = (teacher.eval()(label).logits.argmax(1) == label).float().mean()
    trainer(tmp_path).fit(teacher.train(), DataLoader([batch(label)] * 40, batch_size=None))
    with torch.no_grad():
        after = (teacher.eval()(label).logits.argmax(1) == label).float().mean()
    assert after > max(0.95, before)


@pytest.mark.parametrize(
    ("take", "where"),
    [
        (lambda given: {"image": given["image"], "mask": given["label"]}, None),
        (lambda given: (given["image"], given["label"][:, None].to(torch.uint8)), None),
        (lambda given: {"lanes": {"drawn": given["label"]}}, lambda given: given["lanes"]["drawn"]),
        (lambda given: [0, given["label"]], 1),
    ],
)
def test_the_teacher_learns_from_any_batch_with_label_maps(tmp_path: Path, take: Any, where: Any) -> None:
    whole = batch()
    whole["label"][0][whole["label"][0] == 3] = 0
    whole["existence"] = torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 1]])
    wanted, teacher = LaneTeacher(network(5)), LaneTeacher(network(5), label=where)
    for module, given in ((wanted, whole), (teacher, take(whole))):
        L.seed_everything(1, verbose=False)
        data = DataLoader([given] * 2, batch_size=None)
        training = trainer(tmp_path)
        training.fit(module, data, data)
        training.save_checkpoint(tmp_path / "teacher.ckpt")
    for name, value in wanted.state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name]), name
    assert torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "teacher.ckpt") == []


def test_the_teacher_knows_another_value_of_ignored_pixels_and_refuses_other_values(tmp_path: Path) -> None:
    label = batch()["label"]
    label[:, :4] = 250
    data = DataLoader([{"label": label}], batch_size=None)
    teacher = LaneTeacher(network(5), ignore_index=250)
    trainer(tmp_path).fit(teacher, data)
    assert (teacher.lane_batch({"label": label})["label"][:, :4] == 255).all()
    with pytest.raises(LgadError, match="the labels hold 0, 1, 2, 3, 4, 250 but the network has the classes 0 to 4"):
        trainer(tmp_path).fit(LaneTeacher(network(5)), data)


def test_a_teacher_without_label_maps_says_where_they_can_be_given(tmp_path: Path) -> None:
    data = DataLoader([{"image": torch.zeros(2, 3, *SIZE)}], batch_size=None)
    with pytest.raises(LgadError, match=r"no 'label' maps .* image: float32 .*: give the teacher .* label="):
        trainer(tmp_path).fit(LaneTeacher(network(5)), data)


def test_evaluation_logs_pixels_and_lanes(tmp_path: Path) -> None:
    module = student()
    (logged,) = trainer(tmp_path).test(module, loader(), verbose=False)
    assert {"test/loss", "test/iou", "test/existence_accuracy", "test/f1", "test/fn"} <= logged.keys()
    assert logged["test/fn"] + logged["test/tp"] == 1
    assert module.test_results["total"]["fn"] + module.test_results["total"]["tp"] == 1


def test_lanes_that_do_not_occur_do_not_count_in_the_iou(tmp_path: Path) -> None:
    class Perfect(LaneTeacher):
        def evaluation_step(self, batch: Any, split: str) -> Any:
            output = LaneOutput(10 * encode_label(batch["label"], 5), None)
            self.lane_iou.update(output.logits, batch["label"])
            return output

    label = torch.zeros(2, *SIZE, dtype=torch.long)
    label[:, 8:, 60:66] = 2
    for given, wanted in ((label, 1.0), (torch.zeros_like(label), 0.0)):
        data = DataLoader([batch(given)], batch_size=None)
        (logged,) = trainer(tmp_path).test(Perfect(network(5)), data, verbose=False)
        assert logged["test/iou"] == wanted


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([batch(), batch()])


@pytest.mark.parametrize(("data", "options"), [(Endless(), {}), ([batch()] * 2, {"max_epochs": -1})])
def test_a_schedule_needs_the_length_of_the_training(tmp_path: Path, data: Any, options: dict[str, Any]) -> None:
    loading = DataLoader(data, batch_size=None)
    with pytest.raises(LgadError, match="Set max_steps of the trainer, or scheduler to null"):
        trainer(tmp_path, **options).fit(student(), loading)
    module = student()
    training = trainer(tmp_path, **options, max_steps=3, limit_train_batches=2)
    training.fit(module, loading)
    assert training.global_step == (2 if not options else 3)
    first = module.build_optimizer(module.parameters()).param_groups[0]["lr"]
    assert 0 <= training.optimizers[0].param_groups[0]["lr"] < first


def test_metrics_start_anew_in_every_epoch(tmp_path: Path) -> None:
    module, evaluator = student(), trainer(tmp_path)
    first = evaluator.validate(module, loader(), verbose=False)
    assert evaluator.validate(module, loader(), verbose=False) == first


def test_metrics_start_anew_after_an_interrupted_evaluation(tmp_path: Path) -> None:
    class Interrupting(L.Callback):
        def on_test_batch_end(self, *_: Any) -> None:
            raise RuntimeError("interrupted")

    module = student()
    wanted = trainer(tmp_path).test(module, loader(1), verbose=False)
    other = batch(torch.zeros(2, *SIZE, dtype=torch.long))
    other["evaluation"]["images"] = ["c.jpg", "d.jpg"]
    with pytest.raises(RuntimeError, match="interrupted"):
        trainer(tmp_path, callbacks=[Interrupting()]).test(module, DataLoader([other], batch_size=None))
    assert trainer(tmp_path).test(module, loader(1), verbose=False) == wanted


@pytest.mark.parametrize("make", [student, lambda: LaneTeacher(network(5))])
@pytest.mark.parametrize("evaluate", ["validate", "test"])
def test_a_module_trains_after_an_evaluation(tmp_path: Path, make: Any, evaluate: str) -> None:
    module = make()
    getattr(trainer(tmp_path), evaluate)(module, loader(), verbose=False)
    training = trainer(tmp_path)
    training.fit(module, loader(), loader())
    assert "val/iou" in training.callback_metrics


def test_predicts_without_labels(tmp_path: Path) -> None:
    given = {key: value for key, value in batch().items() if key in ("image", "name", "frame")}
    (result,) = trainer(tmp_path).predict(student(), DataLoader([given], batch_size=None)) or []
    assert result["name"] == ["a.jpg", "b.jpg"]
    assert len(result["lanes"]) == 2


def test_a_checkpoint_loads_into_a_new_module(tmp_path: Path) -> None:
    module, training = student(iou_weight=0.3), trainer(tmp_path)
    training.fit(module, loader())
    training.save_checkpoint(tmp_path / "student.ckpt")
    assert torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "student.ckpt") == []
    parts = {"network": network(), "decoder": CULaneDecoder(), "metric": CULaneF1()}
    loaded = LaneStudent.load_from_checkpoint(tmp_path / "student.ckpt", **parts)
    assert loaded.loss.iou_weight == 0.3
    for name, value in module.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_load_teacher_gives_back_the_trained_teacher(tmp_path: Path) -> None:
    teacher, training = LaneTeacher(network(5)), trainer(tmp_path)
    training.fit(teacher, loader())
    training.save_checkpoint(tmp_path / "teacher.ckpt")
    loaded = load_teacher(tmp_path / "teacher.ckpt", ERFNet(5, 5, SIZE, channels=(8, 16, 24)))
    assert not loaded.training
    label = batch()["label"]
    assert torch.equal(loaded(label).logits, teacher.eval()(label).logits)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.ckpt", None, "does not exist"),
        ("text.ckpt", b"no checkpoint", "is not a checkpoint"),
        ("cut.ckpt", b"J\x01", "it is damaged"),  # read as an instruction whose number is missing
        ("unhashable.ckpt", b"}}Nsd.", "it is damaged"),
        ("other.ckpt", {"weights": {}}, "is not a checkpoint"),
        ("list.ckpt", [1, 2], "is not a checkpoint"),
        ("names.ckpt", {"state_dict": {"network": 1}}, "is not a checkpoint"),
        ("student.ckpt", {"state_dict": student().state_dict()}, "another network"),
    ],
)
def test_load_teacher_says_what_is_wrong(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(LgadError, match=message) as raised:
        load_teacher(path, network(5))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_subclass_says_what_its_network_sees() -> None:
    class Grey(LaneModule):
        def network_input(self, batch: Any) -> Tensor:
            return batch["image"].mean(1, keepdim=True)

    assert torch.isfinite(Grey(network(1)).training_step(batch(), 0))


def test_without_existence_head_neither_its_loss_nor_its_accuracy_counts(tmp_path: Path) -> None:
    bare = ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24), existence=False)
    module = LaneStudent(bare, CULaneDecoder(), CULaneF1())
    (logged,) = trainer(tmp_path).validate(module, loader(), verbose=False)
    assert "val/existence_accuracy" not in logged
    assert "val/f1" in logged


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_teacher_and_student_train_in_true_precision(tmp_path: Path, precision: Any) -> None:
    teacher = LaneTeacher(network(5))
    trainer(tmp_path, precision=precision, max_steps=1).fit(teacher, loader())
    lgad = LabelGuidedAttentionDistillation(LaneTeacher(network(5)), ["network.encoder.stage*"])
    module = student()
    distilling = trainer(tmp_path, precision=precision, max_steps=1, callbacks=[lgad])
    distilling.fit(module, loader(), loader())
    assert distilling.callback_metrics["train/loss"].isfinite()
    assert {p.dtype for p in module.parameters()} == {torch.float64 if precision == "64-true" else torch.bfloat16}


def test_modules_can_be_pickled() -> None:
    module = pickle.loads(pickle.dumps(student()))
    assert torch.isfinite(module.training_step(batch(), 0))


def test_a_student_is_no_teacher(tmp_path: Path) -> None:
    """With two slots, the shapes of both are equal."""
    student = LaneStudent(ERFNet(3, 3, SIZE, channels=(8, 16, 24)))
    torch.save({"state_dict": student.state_dict(), STUDENT: {}}, tmp_path / "student.ckpt")
    with pytest.raises(LgadError, match="is that of a student"):
        load_teacher(tmp_path / "student.ckpt", ERFNet(3, 3, SIZE, channels=(8, 16, 24)))


def test_objects_among_the_arguments_of_a_subclass_are_not_logged() -> None:
    class Own(LaneStudent):
        def __init__(self, network: torch.nn.Module, helper: torch.nn.Module, gamma: float = 2.0) -> None:
            super().__init__(network)

    made = Own(network(3), torch.nn.Linear(2, 2))
    assert "helper" not in made.hparams_initial
    assert dict(made.hparams_initial) == dict(made.hparams)
    assert made.hparams["gamma"] == 2.0
