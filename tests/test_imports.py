"""What importing a part of the package brings along, in a fresh process."""

import subprocess
import sys

import pytest

import lgad_lightning

LIGHTNING = {"lightning", "lightning.pytorch", "pytorch_lightning"}
HEAVY = LIGHTNING | {"torch", "torchmetrics", "albumentations", "hydra", "wandb", "scipy"}


def imported_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "module",
    [
        "lgad_lightning",
        "lgad_lightning.metrics.functional",
        "lgad_lightning.lanes.files",
        "lgad_lightning.reporting.comparing",
        "lgad_lightning.reporting.run_page",
    ],
)
def test_what_needs_no_tensors_imports_no_torch(module: str) -> None:
    assert not imported_by(f"import {module}") & HEAVY


@pytest.mark.parametrize("command", ["data", "evaluate", "predict", "report"])
def test_the_help_imports_nothing_heavy(command: str) -> None:
    code = f"from lgad_lightning.commands.{command} import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not imported_by(code) & HEAVY


CORE = ("attention", "feature_layout", "features", "internals", "losses", "pairing")
PACKAGES = ("lanes", "metrics", "networks")

IN_FORKS = """
import os, sys
import torch
for code in sys.argv[1:]:
    if os.fork() == 0:
        exec(code)
        print(*sys.modules, flush=True)
        os._exit(0)
    os.wait()
"""


def test_the_functional_core_and_lanes_metrics_and_networks_know_nothing_of_lightning() -> None:
    codes = [f"import lgad_lightning.{module}" for module in CORE]
    codes += [f"import lgad_lightning.{name} as p\nfor name in p.__all__: getattr(p, name)" for name in PACKAGES]
    command = [sys.executable, "-c", IN_FORKS, *codes]
    ends = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for name, modules in zip(CORE + PACKAGES, ends, strict=True):
        assert f"lgad_lightning.{name}" in modules.split()
        assert not set(modules.split()) & LIGHTNING, name


def test_every_public_name_can_be_imported() -> None:
    for name in lgad_lightning.__all__:
        assert getattr(lgad_lightning, name) is not None, name
