"""The same arguments build the same callback from Python, Hydra and LightningCLI."""

import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import instantiate
from lightning.pytorch.cli import LightningCLI
from omegaconf import OmegaConf
from torch import nn

from lgad_lightning import callbacks

from .distillation_toys import Module

TIMES: dict[str, Any] = {
    "start": 0.25,
    "ramp": 100,
    "end": 1.0,
    "name": "mine",
    "weight": 0.7,
    "image": "picture",
    "label": 2,
    "layout": [8, 12],
    "teacher_layout": "nhwc",
}
FORM: dict[str, Any] = {
    "power": 1.5,
    "reduction": "max",
    "normalisation": "zscore",
    "distance": "kl",
    "temperature": 3.0,
    "size": (36, 100),
}
LAYERS: dict[str, Any] = {"student_layers": ["a.*"], "teacher_layers": ["b.1", "b.2"]}
SPEED: dict[str, Any] = {"bf16_teacher": True, "compile_teacher": True}
CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "FeatureDistillation": (True, LAYERS | TIMES | SPEED),
    "FitNets": (True, LAYERS | TIMES | SPEED),
    "AttentionTransfer": (True, LAYERS | TIMES | SPEED | FORM),
    "LabelGuidedAttentionDistillation": (True, LAYERS | TIMES | SPEED | FORM | {"ignore_index": 250}),
    "JointLabelGuidedAttentionDistillation": (True, LAYERS | TIMES | FORM | {"ignore_index": 250}),
    "SelfAttentionDistillation": (False, LAYERS | TIMES | FORM),
    "LabelAttention": (False, {"student_layers": ["a.*"]} | TIMES | FORM | {"ignore_index": 250}),
    "ChannelWiseDistillation": (True, LAYERS | TIMES | SPEED | {"temperature": 2.0}),
    "InterRegionAffinityDistillation": (True, LAYERS | TIMES | SPEED | {"margin": 3, "ignore_index": 250}),
    "LogitsDistillation": (True, LAYERS | TIMES | SPEED | {"temperature": 2.0}),
    "MaskedGenerativeDistillation": (True, LAYERS | TIMES | SPEED | {"masked": 0.5}),
    "SimilarityPreservingDistillation": (True, LAYERS | TIMES | SPEED),
    "AttentionPictures": (False, {"every_n_steps": 3, "count": 2, "log_images": True, "image": 1, "label": "lanes"}),
}


def plain(value: Any) -> Any:
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", CASES)
def test_same_callback_three_ways(name: str, tmp_path: Path):
    has_teacher, arguments = CASES[name]
    kind = getattr(callbacks, name)
    built = [kind(**({"teacher": nn.Identity()} if has_teacher else {}), **arguments)]

    node = {"_target_": f"lgad_lightning.callbacks.{name}"} | arguments
    node |= {"teacher": {"_target_": "torch.nn.Identity"}} if has_teacher else {}
    built.append(instantiate(OmegaConf.create(node), _convert_="all"))

    listed = {key: plain(value) for key, value in arguments.items()}
    listed |= {"teacher": {"class_path": "torch.nn.Identity"}} if has_teacher else {}
    entry = {"class_path": f"lgad_lightning.callbacks.{name}", "init_args": listed}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": [entry]}}))
    cli = LightningCLI(Module, run=False, args=["--config", str(path)], save_config_callback=None)
    built += [callback for callback in cli.trainer.callbacks if type(callback) is kind]

    assert len(built) == 3
    for callback in built:
        for key, value in arguments.items():
            found = getattr(callback, key)
            assert plain(found) == plain(value)
            assert type(found) is type(value) or key in ("size", *LAYERS)
        assert not has_teacher or isinstance(callback.teacher, nn.Identity)
        assert vars(pickle.loads(pickle.dumps(callback))).keys() == vars(callback).keys()  # ddp_spawn pickles it


def test_cli_builds_the_joint_teachers_optimiser(tmp_path: Path):
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    arguments = {"teacher": {"class_path": "torch.nn.Identity"}, "teacher_optimizer": optimizer}
    entry = {"class_path": "lgad_lightning.callbacks.JointLabelGuidedAttentionDistillation", "init_args": arguments}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"callbacks": [entry]}}))
    cli = LightningCLI(Module, run=False, args=["--config", str(path)], save_config_callback=None)
    callback = next(c for c in cli.trainer.callbacks if isinstance(c, callbacks.JointLabelGuidedAttentionDistillation))
    built = callback.teacher_optimizer([nn.Parameter(torch.zeros(1))])
    assert (type(built), built.param_groups[0]["lr"]) == (torch.optim.SGD, 0.5)


def test_every_distillation_is_covered():
    kinds = [kind for kind in vars(callbacks).values() if inspect.isclass(kind)]
    family = {kind.__name__ for kind in kinds if issubclass(kind, callbacks.FeatureDistillation)}
    assert family <= set(CASES)
