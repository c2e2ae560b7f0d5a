"""Every configuration that ships, composed and built."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lgad_lightning import ERFNet, FeatureDistillation
from lgad_lightning.commands.build import build_module, resolve
from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.commands.value_types import locate, parameters
from tests.conftest import CHECKOUT
from tests.helpers.commands import cli_config, environment

EXPERIMENTS = sorted(path.stem for path in (CONFIG_DIR / "experiment").glob("*.yaml"))
LIBRARIES = {
    "resnet18": "timm", "resnet34": "timm", "timm": "timm", "smp": "segmentation_models_pytorch",
    "segformer": "transformers",
}  # fmt: skip
"""What networks come through, by the ends of their names."""


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=list(overrides))
    cfg.run_dir = "run"
    return cfg


def test_all_the_published_recipes_are_there() -> None:
    assert set(EXPERIMENTS) >= {
        f"{data}_{network}"
        for data, networks in (
            ("synthetic", ("enet", "erfnet")),
            ("bdd100k", ("enet",)),
            ("llamas", ("erfnet",)),
            ("curvelanes", ("resnet18",)),
            ("openlane", ("erfnet",)),
            *((data, ("enet", "erfnet", "scnn", "scnn_resnet18", *LIBRARIES)) for data in ("culane", "tusimple")),
        )
        for network in networks
    }


def test_the_default_is_the_synthetic_experiment() -> None:
    assert OmegaConf.to_yaml(composed(), resolve=False) == OmegaConf.to_yaml(
        composed("+experiment=synthetic_erfnet"), resolve=False
    )


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=pytest.mark.zoo if name.split("_")[-1] in LIBRARIES else ()) for name in EXPERIMENTS],
)
def test_every_experiment_builds_its_parts(experiment: str) -> None:
    cfg = composed(f"+experiment={experiment}")
    if (library := LIBRARIES.get(experiment.split("_")[-1])) is not None:
        pytest.importorskip(library, reason="the network comes through the extra zoo")
    settings = OmegaConf.to_container(cfg, resolve=True)
    data = instantiate(settings["data"], _convert_="all")
    network = instantiate(settings["network"], _convert_="all")
    teacher = instantiate(settings["network"] | settings["teacher"]["network"], _convert_="all")
    assert network.num_classes == teacher.num_classes == teacher.in_channels == data.num_classes
    for phase, its_network in (("teacher", teacher), ("student", network)):
        module = instantiate(settings[phase]["module"], _partial_=True, _convert_="all")(network=its_network)
        assert module.build_optimizer(module.parameters()).param_groups[0]["lr"] > 0
        for node in (settings["callbacks"] | settings[phase]["callbacks"]).values():
            instantiate(node, _convert_="all")
        assert instantiate(settings["trainer"] | settings[phase]["trainer"] | {"precision": "32-true"}) is not None


def test_the_student_of_tusimple_finds_lanes_in_the_rows_of_the_labels(tmp_path: Path) -> None:
    rows = list(range(96, 285, 4))
    line = {"lanes": [[60] * len(rows)], "h_samples": rows, "raw_file": "clips/a/20.jpg"}
    (tmp_path / "test_label.json").write_text(json.dumps(line) + "\n")
    (tmp_path / "clips" / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "clips" / "a" / "20.jpg"), np.zeros((288, 512, 3), np.uint8))
    cfg = composed("data=tusimple", "network=erfnet_small", f"data.root={tmp_path}", "data.num_workers=0")
    settings = resolve(cfg, "student")
    student = build_module(settings, "student")
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.test(student, instantiate(settings["data"], _convert_="all"), verbose=False)
    assert student.decoder.h_samples == tuple(rows)


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("culane_enet", {"lr": 0.01, "input": [208, 976], "crop": 240, "batch": 12, "steps": 100_000}),
        ("culane_erfnet", {"lr": 0.01, "input": [208, 976], "crop": 240, "batch": 12, "epochs": 12}),
        ("culane_resnet34", {"lr": 0.2, "input": [288, 800], "crop": 0, "batch": 20, "epochs": 12}),
        ("tusimple_enet", {"lr": 0.01, "input": [368, 640], "crop": 0, "batch": 12, "steps": 50_000}),
        ("bdd100k_enet", {"lr": 0.01, "input": [360, 640], "crop": 0, "batch": 12, "steps": 60_000}),
        ("llamas_erfnet", {"lr": 0.5, "input": [360, 640], "crop": 0, "batch": 20, "epochs": 10}),
        ("curvelanes_resnet18", {"lr": 0.2, "input": [320, 800], "crop": 0, "batch": 20, "epochs": 14}),
        ("openlane_erfnet", {"lr": 0.2, "input": [320, 800], "crop": 600, "batch": 24, "epochs": 15}),
        ("tusimple_erfnet", {"lr": 0.2, "input": [360, 640], "crop": 0, "batch": 20, "epochs": 50}),
    ],
)
def test_recipes_are_those_of_the_reference(experiment: str, expected: dict[str, object]) -> None:
    cfg = composed(f"+experiment={experiment}")
    found = {
        "lr": cfg.optimizer.lr,
        "input": cfg.data.input_size,
        "crop": cfg.data.crop_top,
        "batch": cfg.data.batch_size,
        "steps": cfg.trainer.get("max_steps"),
        "epochs": cfg.trainer.max_epochs,
    }
    assert {key: found[key] for key in expected} == expected
    assert cfg.optimizer._target_ == "torch.optim.SGD"
    assert cfg.optimizer.weight_decay == 1e-4


UNUSUAL = {"enable_checkpointing", "barebones", "enable_autolog_hparams", "model_registry"}
LGAD_FITS = {"callbacks", "logger"}


@pytest.mark.parametrize(
    ("group", "name", "without"),
    [
        ("trainer", "default", UNUSUAL | LGAD_FITS),
        *((("data", name, set[str]())) for name in sorted(path.stem for path in (CONFIG_DIR / "data").glob("*.yaml"))),
    ],
)
def test_every_argument_has_a_key_and_the_constructors_default(group: str, name: str, without: set[str]) -> None:
    node = composed(f"{group}={name}")[group]
    arguments, _ = parameters(locate("", node._target_))
    fixed = {"num_slots"} if len(getattr(locate("", node._target_), "slot_choices", ())) == 1 else set()
    assert set(node) - {"_target_"} == set(arguments) - without - fixed
    if group == "data":
        for key in ("mean", "std", "channels", "pixel_range", "reduced_decode", "label_cache", "on_error"):
            default = arguments[key].default
            assert node[key] == (list(default) if isinstance(default, tuple) else default), key


@pytest.mark.parametrize("logger", ["csv", "mlflow", "tensorboard", "wandb"])
def test_every_logger_composes_with_csv(logger: str) -> None:
    assert "csv" in composed(f"logger={logger}").logger


def test_the_wheel_holds_the_configurations_and_finds_them(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    shipped = {path.relative_to(installed / "lgad_lightning") for path in installed.rglob("*.yaml")}
    assert shipped == {path.relative_to(CHECKOUT) for path in (CHECKOUT / "conf").rglob("*.yaml")}

    command = "from lgad_lightning.commands.fit import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", command, "+experiment=culane_erfnet", "data.root=/nowhere"],
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "/nowhere" in result.stderr


@pytest.mark.parametrize("name", ["culane_erfnet_teacher", "culane_erfnet_student"])
def test_cli_configurations_agree_with_the_experiment(name: str) -> None:
    cli = cli_config(f"{name}.yaml")
    cfg = composed("+experiment=culane_erfnet")
    data = cli["data"]["init_args"]
    for key in ("input_size", "crop_top", "batch_size", "mean", "std", "channels", "pixel_range"):
        assert data[key] == OmegaConf.to_container(cfg.data)[key], key
    phase = cfg[name.split("_")[-1]]
    optimizer = cli["model"]["init_args"]["optimizer"]
    assert optimizer["class_path"] == phase.module.optimizer._target_
    assert optimizer["init_args"].items() <= dict(phase.module.optimizer).items()
    assert cli["trainer"]["max_epochs"] == {**cfg.trainer, **phase.trainer}["max_epochs"]


@pytest.mark.parametrize("name", ["joint", "label_attention", "lgad", "lgad_balanced", "sad"])
def test_every_distillation_builds(name: str) -> None:
    settings = OmegaConf.to_container(composed(f"distillation={name}"), resolve=True)["distillation"]
    teacher = {} if settings.get("teacher") != "???" else {"teacher": ERFNet(in_channels=5)}
    callback = instantiate(settings | {"teacher": None} if teacher else settings, _partial_=True)(**teacher)
    assert isinstance(callback, FeatureDistillation)
    assert callback.weight == 0.3


def test_no_distillation_is_an_empty_group() -> None:
    assert not composed("distillation=none").distillation


@pytest.mark.parametrize("name", ["culane", "folder", "synthetic", "tusimple"])
def test_every_argument_of_a_data_module_is_a_key_with_its_default(name: str) -> None:
    own = {"root", "input_size", "crop_top", "batch_size", "num_workers", "seed", "train", "val", "test", "image_size"}
    node = OmegaConf.to_container(composed(f"data={name}"), resolve=False)["data"]
    known, _ = parameters(locate("data", node["_target_"]))
    assert known.keys() - {"num_slots"} <= node.keys()
    for key in known.keys() & node.keys() - own:
        default = known[key].default
        assert node[key] == (list(default) if isinstance(default, tuple) else default), key


def test_the_trainers_keys_have_its_defaults() -> None:
    ours = {"max_epochs", "precision", "enable_model_summary", "log_every_n_steps", "num_sanity_val_steps"}
    ours |= {"accelerator", "default_root_dir", "plugins", "enable_progress_bar"}
    node = OmegaConf.to_container(composed(), resolve=False)["trainer"]
    known, _ = parameters(locate("trainer", node.pop("_target_")))
    same = {"fast_dev_run", "limit_train_batches", "accumulate_grad_batches", "gradient_clip_val", "max_steps"}
    assert same <= node.keys() <= known.keys()
    resolved_by_lightning = {  # None stands for these
        "max_steps": -1, "accumulate_grad_batches": 1, "val_check_interval": 1.0, "limit_train_batches": 1.0,
        "limit_val_batches": 1.0, "limit_test_batches": 1.0, "overfit_batches": 0.0, "deterministic": False,
    }  # fmt: skip
    for key in node.keys() - ours:
        default = known[key].default
        assert node[key] == (resolved_by_lightning[key] if default is None and node[key] is not None else default), key
