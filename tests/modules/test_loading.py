import pickle
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lgad_lightning import ENet, ERFNet, LaneStudent, LaneTeacher, Preprocessing, Rebuildable, load_student
from lgad_lightning.data import SyntheticLaneDataModule
from lgad_lightning.data.protocol import OPENLANE
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULaneDecoder
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy
from lgad_lightning.modules import begin_with
from lgad_lightning.networks import LaneOutput

SIZE = (32, 96)


class Plain(nn.Module):
    """A network of somebody's own that knows nothing of this package."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.num_classes = 5
        self.layer = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 5, 1))

    def forward(self, x: Tensor) -> LaneOutput:
        return LaneOutput(self.layer(x), None)


class Own(Rebuildable, Plain):
    """The same, that says how it was made."""


@pytest.fixture(scope="module")
def data(tiny_root: Path) -> SyntheticLaneDataModule:
    return SyntheticLaneDataModule(
        tiny_root, train=16, val=4, test=9, image_size=(148, 410), input_size=SIZE, crop_top=48, batch_size=4,
        num_workers=0, mean=(0.5, 0.5, 0.5), channels="bgr",
    )  # fmt: skip


def fit(module: L.LightningModule, data: Any, folder: Path) -> Path:
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=2, limit_val_batches=1, logger=False,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.save_checkpoint(folder / "student.ckpt")
    return folder / "student.ckpt"


def small() -> ERFNet:
    return ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24), dropout=(0.0, 0.1))


@pytest.mark.parametrize("make", [small, lambda: Own(width=6)])
def test_a_checkpoint_is_enough(data: SyntheticLaneDataModule, tmp_path: Path, make: Any) -> None:
    student = LaneStudent(make(), CULaneDecoder(blur=3))
    path = fit(student, data, tmp_path)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    loaded = load_student(path)
    assert loaded.preprocessing == data.preprocessing
    assert (loaded.decoder.blur, loaded.protocol, loaded.training) == (3, "culane", False)
    assert loaded.class_names == ("background", "left-left", "ego-left", "ego-right", "right-right")
    assert loaded.recipe["data"] == "SyntheticLaneDataModule"
    assert loaded.image_size == (148, 410)
    assert loaded.figures.keys() >= {"val/f1", "val/loss"}
    image = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        assert torch.equal(loaded(image).logits, student.eval()(image).logits)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    data.setup("test")
    assert trainer.test(loaded, data, verbose=False)[0]["test/f1"] >= 0


def test_a_checkpoint_of_a_compiled_network_is_enough(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    network = small()
    loaded = load_student(fit(LaneStudent(torch.compile(network, backend="eager")), data, tmp_path))
    assert type(loaded.network) is ERFNet
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name]), name


@pytest.mark.parametrize("compiled", [False, True], ids=["plain checkpoint", "compiled checkpoint"])
def test_a_checkpoint_loads_into_a_compiled_network(
    data: SyntheticLaneDataModule, tmp_path: Path, compiled: bool
) -> None:
    network = small()
    trained = torch.compile(network, backend="eager") if compiled else network
    loaded = load_student(fit(LaneStudent(trained), data, tmp_path), torch.compile(small(), backend="eager"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[f"_orig_mod.{name}"]), name


def test_figures_and_recipe_belong_to_the_weights(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    def trainer(**options: Any) -> L.Trainer:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        limits = {f"limit_{split}_batches": 1 for split in ("train", "val", "test")}
        return L.Trainer(accelerator="cpu", default_root_dir=tmp_path, **quiet, **(limits | options))

    def loss(**options: Any) -> float:
        return trainer().validate(student, data, verbose=False, **options)[0]["val/loss"]

    student, first = LaneStudent(small(), scheduler=None), ModelCheckpoint(tmp_path, "first", monitor="val/one")
    student.on_validation_epoch_end = lambda: (  # type: ignore[method-assign]
        student.log("val/one", float(student.trainer.current_epoch)),
        LaneStudent.on_validation_epoch_end(student),
    )
    fitting = trainer(max_epochs=3, callbacks=[first])
    fitting.fit(student, data)
    last, after = dict(student.figures), tmp_path / "after.ckpt"
    fitting.save_checkpoint(after)
    assert (student.recipe["epochs"], student.recipe["steps"], last["val/one"]) == (3, 3, 2)
    assert (load_student(after).recipe, load_student(after).figures) == (student.recipe, last)
    assert load_student(first.best_model_path).recipe["epochs"] == 1
    assert last["val/loss"] == loss()

    trainer().test(student, data, verbose=False)
    assert student.parts.figures.items() >= last.items() - {("val/one", 2)}
    assert "test/f1" in student.parts.figures
    trainer().test(student, data, ckpt_path=first.best_model_path, verbose=False)
    assert (student.figures["val/one"], student.recipe["epochs"]) == (0, 1)
    assert student.figures["val/loss"] == loss(ckpt_path=first.best_model_path) != last["val/loss"]

    trainer(max_epochs=4, enable_checkpointing=False).fit(student, data, ckpt_path=after)
    assert (student.recipe["epochs"], student.figures["val/one"], student.test_results) == (4, 3, {})
    trainer(max_epochs=1, limit_val_batches=0, enable_checkpointing=False).fit(student, data)
    assert (student.recipe["epochs"], student.parts.figures) == (1, {})


def test_parts_that_cannot_be_built_must_be_given(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    student = LaneStudent(Plain(width=6))
    path = fit(student, data, tmp_path)
    with pytest.raises(LgadError, match=r"The network of .*Plain.*network=\.\.\."):
        load_student(path)
    loaded = load_student(path, network=Plain(width=6))
    assert torch.equal(loaded.network.layer[0].weight, student.network.layer[0].weight)
    with pytest.raises(LgadError, match=r"layer\.0\.weight: \(6, 3, 3, 3\) there, \(4, 3, 3, 3\)"):
        load_student(path, network=Plain())


def test_a_class_that_was_not_imported_is_named_and_not_run(
    data: SyntheticLaneDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fit(LaneStudent(small()), data, tmp_path)
    content = torch.load(path, weights_only=True)
    (tmp_path / "malicious.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, message in (
        ("malicious.Net", "import it first"),
        ("gone.away.Net", "import it first"),
        ("os.system", "is not a Module"),
        ("lgad_lightning.data.CULaneDataModule", "is not a Module"),
    ):
        content["lgad_student"]["network"]["class"] = name
        torch.save(content, path)
        with pytest.raises(LgadError, match=message):
            load_student(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [[1], {"a": 1}, {"state_dict": {"x": 1}}, {"state_dict": 3}])
def test_files_that_are_not_checkpoints_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.ckpt"
    with pytest.raises(LgadError, match="no checkpoint"):
        load_student(path)
    torch.save(content, path)
    with pytest.raises(LgadError, match="is not a checkpoint of"):
        load_student(path)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(LgadError, match="is not a checkpoint of"):
        load_student(path)


def test_older_checkpoints_and_teachers_say_how_to_go_on(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    path = fit(LaneStudent(small()), data, tmp_path)
    content = torch.load(path, weights_only=True)
    del content["lgad_student"]
    torch.save(content, path)
    with pytest.raises(LgadError, match=r"load_student\(file, network=\.\.\., decoder=\.\.\., preprocessing=\.\.\.\)"):
        load_student(path)
    loaded = load_student(path, small(), CULaneDecoder(), Preprocessing(SIZE, 48))
    assert loaded.preprocessing == Preprocessing(SIZE, 48)
    teacher = LaneTeacher(ERFNet(num_classes=5, in_channels=5, input_size=SIZE, channels=(8, 16, 24)))
    with pytest.raises(LgadError, match="it belongs to a teacher, or it is too old"):
        load_student(fit(teacher, data, tmp_path))


def test_decoder_and_metric_come_from_the_data(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    student = LaneStudent(small())
    fit(student, data, tmp_path)
    assert isinstance(student.decoder, CULaneDecoder)
    assert isinstance(student.metric, CULaneF1)


def test_a_metric_of_another_protocol_is_refused_before_training(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"protocol of culane, and TuSimpleAccuracy belongs to another"):
        fit(LaneStudent(small(), metric=TuSimpleAccuracy()), data, tmp_path)


def test_a_metric_that_was_not_given_follows_the_data(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    class OpenLaneRoads(SyntheticLaneDataModule):
        protocol = OPENLANE

    student = LaneStudent(small())
    loaded = load_student(fit(student, data, tmp_path))
    given = LaneStudent(small(), metric=CULaneF1(threshold=0.4))
    others = OpenLaneRoads(
        data.root, train=16, val=4, test=9, image_size=(148, 410), input_size=SIZE, crop_top=48, num_workers=0,
        mean=(0.5, 0.5, 0.5), channels="bgr",
    )  # fmt: skip
    trainer = L.Trainer(
        accelerator="cpu", limit_test_batches=1, logger=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    for tested, threshold in ((student, 0.3), (loaded, 0.3), (given, 0.4)):
        trainer.test(tested, others, verbose=False)
        assert tested.metric.threshold == threshold


def test_without_a_data_module_decoder_and_metric_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"needs decoder=\.\.\."):
        fit(LaneStudent(small()), DataLoader([]), tmp_path)


def test_another_preprocessing_than_in_training_is_warned_of(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    student = LaneStudent(small(), preprocessing=Preprocessing(SIZE, 0))
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    with pytest.warns(UserWarning, match="was trained with Preprocessing"):
        trainer.validate(student, data, verbose=False)
    assert student.preprocessing == Preprocessing(SIZE, 0)


class Focal(LaneStudent):
    def __init__(
        self, network: nn.Module, criterion: nn.Module, note: Path, gamma: float = 2.0, **options: Any
    ) -> None:
        super().__init__(network, **options)
        self.criterion, self.note, self.gamma = criterion, note, gamma


def test_a_subclass_may_have_arguments_of_any_kind(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    student = Focal(small(), nn.SmoothL1Loss(), tmp_path, gamma=1.5)
    assert dict(student.hparams)["gamma"] == 1.5
    path = fit(student, data, tmp_path)
    assert isinstance(load_student(path).network, ERFNet)
    assert set(torch.load(path)["hyper_parameters"]) >= {"gamma", "background_weight"}


def test_a_student_begins_with_the_weights_that_fit(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    path = fit(LaneStudent(ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24))), data, tmp_path)
    trained = load_student(path).state_dict()
    same = LaneStudent(ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24)))
    assert begin_with(same, path) == []
    assert all(torch.equal(value, trained[name]) for name, value in same.state_dict().items())
    assert same.training

    other = LaneStudent(ERFNet(num_classes=3, input_size=(64, 96), channels=(8, 16, 24)))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    new = begin_with(other, path)
    assert 0 < len(new) < 10
    for name, value in other.state_dict().items():
        assert torch.equal(value, (before if name in new else trained)[name]), name


def test_a_student_begins_with_no_other_network(data: SyntheticLaneDataModule, tmp_path: Path) -> None:
    path = fit(LaneStudent(ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24))), data, tmp_path)
    with pytest.raises(LgadError, match=r"holds the weights of another network: \d+ of the \d+ tensors of ENet fit"):
        begin_with(LaneStudent(ENet(num_classes=5, input_size=SIZE)), path)
    teacher = tmp_path / "teacher.ckpt"
    torch.save({"state_dict": LaneTeacher(ERFNet(in_channels=5)).state_dict()}, teacher)
    with pytest.raises(LgadError, match="is not the checkpoint of a student"):
        begin_with(LaneStudent(ERFNet(num_classes=5)), teacher)
