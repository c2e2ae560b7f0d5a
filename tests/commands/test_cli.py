"""`lgad-cli` through its console script: teacher, then a distilled student, from YAML."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lgad_lightning import SyntheticLaneDataModule
from tests.helpers.commands import cli_config, finish, run, start

NETWORK = {"input_size": [32, 96], "channels": [8, 16, 24]}


@pytest.fixture(scope="module")
def folder(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained teacher and both shipped configurations, made tiny."""
    SyntheticLaneDataModule(tiny_root, train=16, val=4, test=9, image_size=(148, 410)).prepare_data()
    folder = tmp_path_factory.mktemp("cli")
    for name in ("teacher", "student"):
        config = cli_config(f"culane_erfnet_{name}.yaml")
        config["model"]["init_args"]["network"]["init_args"] |= NETWORK
        config["data"]["init_args"] |= {
            "root": str(tiny_root), "input_size": [32, 96], "crop_top": 48, "batch_size": 4, "num_workers": 0,
        }  # fmt: skip
        config["trainer"] |= {"accelerator": "cpu", "devices": 1, "max_epochs": 1}
        if name == "student":
            config["trainer"]["callbacks"][0]["init_args"]["teacher"]["init_args"]["network"]["init_args"] |= NETWORK
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    run("lgad-cli", "fit", "--config", "teacher.yaml", folder=folder)
    return folder


@pytest.fixture(scope="module")
def student(folder: Path) -> Path:
    """The checkpoint of a student trained by one process."""
    run("lgad-cli", "fit", "--config", "student.yaml", folder=folder)
    return folder / "outputs" / "culane_erfnet_student" / "best.ckpt"


def test_the_distilled_student_opens_with_weights_only(student: Path) -> None:
    assert torch.serialization.get_unsafe_globals_in_checkpoint(student) == []
    checkpoint = torch.load(student, weights_only=True)
    assert all(name.startswith("network.") for name in checkpoint["state_dict"])


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_validates_tests_and_predicts_a_checkpoint(folder: Path, student: Path, command: str) -> None:
    result = run("lgad-cli", command, "--config", "student.yaml", "--ckpt_path", str(student), folder=folder)
    if command == "predict":
        written = folder / "outputs" / "culane_erfnet_student" / "predictions"
        assert len(list(written.rglob("*.lines.txt"))) == 9
    else:
        assert "f1" in result.stdout


def test_trains_a_student_on_two_processes(folder: Path, student: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    ours = tmp_path / student.relative_to(folder)
    shutil.rmtree(ours.parent)
    arguments = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "2")
    run("lgad-cli", "fit", "--config", "student.yaml", *arguments, folder=tmp_path)
    steps = [torch.load(path, weights_only=True)["global_step"] for path in (ours, student)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_training_does_not_replace_another(name: str, folder: Path, student: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    kept = tmp_path / student.relative_to(folder).with_name(f"{name}.ckpt")
    for path in kept.parent.glob("*.ckpt"):
        if path != kept:
            path.unlink()
    before = kept.read_bytes()
    refused = run("lgad-cli", "fit", "--config", "student.yaml", folder=tmp_path, fails=True)
    assert f"{name}.ckpt is there already" in refused.stderr
    assert "--ckpt_path" in refused.stderr
    assert kept.read_bytes() == before
    again = ("--ckpt_path", str(kept), "--trainer.max_epochs=2")
    run("lgad-cli", "fit", "--config", "student.yaml", *again, folder=tmp_path)
    assert torch.load(kept.with_name("last.ckpt"), weights_only=True)["epoch"] == 1


MINE = """
from lgad_lightning import ERFNet, LaneStudent

class Net(ERFNet):
    def __init__(self) -> None:
        super().__init__(5, input_size=(32, 96), channels=(8, 16, 24))

class Student(LaneStudent):
    def __init__(self) -> None:
        super().__init__(Net())
"""


@pytest.mark.parametrize(
    "model", [{"class_path": "mine.Student"}, {"class_path": "LaneStudent", "init_args": {"network": "mine.Net"}}]
)
def test_classes_without_arguments_are_trained(folder: Path, tmp_path: Path, model: dict[str, Any]) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    config = yaml.safe_load((folder / "student.yaml").read_text()) | {"model": model}
    config["trainer"] |= {"callbacks": [], "fast_dev_run": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    ended = finish(start("lgad-cli", "fit", "--config", "mine.yaml", folder=tmp_path, variables=environment))
    assert ended.code == 0, ended.stderr


def test_shipped_configurations_are_found_by_name_and_missing_data_is_told(tmp_path: Path) -> None:
    arguments = ("--config", "culane_erfnet_teacher.yaml", "--data.root", "/nowhere/CULane")
    failed = run("lgad-cli", "fit", *arguments, folder=tmp_path, fails=True)
    assert failed.code == 1
    assert "/nowhere/CULane" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_print_config_shows_every_default(folder: Path) -> None:
    shown = run("lgad-cli", "fit", "--config", "student.yaml", "--print_config", folder=folder)
    config = yaml.safe_load(shown.stdout)
    assert config["model"]["init_args"]["background_weight"] == 0.4


def test_a_printed_configuration_without_an_optimiser_is_read_again(folder: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((folder / "teacher.yaml").read_text())
    config["model"]["init_args"].pop("optimizer")
    (tmp_path / "teacher.yaml").write_text(yaml.safe_dump(config))
    shown = run("lgad-cli", "fit", "--config", "teacher.yaml", "--print_config", folder=tmp_path)
    (tmp_path / "printed.yaml").write_text(shown.stdout)
    again = run("lgad-cli", "fit", "--config", "printed.yaml", "--print_config", folder=tmp_path)
    assert again.stdout == shown.stdout


def test_a_single_distillation_needs_no_teacher_to_evaluate(folder: Path, student: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((folder / "student.yaml").read_text())
    single = config["trainer"]["callbacks"][0]
    single["init_args"]["teacher"]["init_args"]["checkpoint"] = "gone.ckpt"
    config["trainer"]["callbacks"] = single
    (tmp_path / "single.yaml").write_text(yaml.safe_dump(config))
    arguments = ("--config", "single.yaml", "--ckpt_path", str(student))
    assert "f1" in run("lgad-cli", "test", *arguments, folder=tmp_path).stdout


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_untrained_network_is_not_evaluated(folder: Path, student: Path, command: str) -> None:
    predictions = student.parent / "predictions"
    before = {path: path.read_text() for path in predictions.rglob("*") if path.is_file()}
    failed = run("lgad-cli", command, "--config", "student.yaml", folder=folder, fails=True)
    assert "--ckpt_path" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert before == {path: path.read_text() for path in predictions.rglob("*") if path.is_file()}


def test_evaluation_needs_no_teacher(folder: Path, student: Path) -> None:
    config = yaml.safe_load((folder / "student.yaml").read_text())
    config["trainer"]["callbacks"][0]["init_args"]["teacher"]["init_args"]["checkpoint"] = "absent.ckpt"
    (folder / "without_teacher.yaml").write_text(yaml.safe_dump(config))
    result = run("lgad-cli", "test", "--config", "without_teacher.yaml", "--ckpt_path", str(student), folder=folder)
    assert "f1" in result.stdout


def test_a_checkpoint_gives_its_weights_alone(folder: Path, student: Path, tmp_path: Path) -> None:
    """Its hyperparameters neither replace the configuration nor choose what is imported."""
    content = torch.load(student, weights_only=True)
    for number, parameters in enumerate(({"_class_path": "nowhere.Thing"}, {"background_weight": 0.4})):
        torch.save(content | {"hyper_parameters": parameters}, tmp_path / f"{number}.ckpt")
        checkpoint = str(tmp_path / f"{number}.ckpt")
        assert (
            "f1" in run("lgad-cli", "test", "--config", "student.yaml", "--ckpt_path", checkpoint, folder=folder).stdout
        )
