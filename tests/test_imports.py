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


@pytest.mark.parametrize("package", ["lanes", "metrics", "networks"])
def test_lanes_metrics_and_networks_know_nothing_of_lightning(package: str) -> None:
    everything = f"import lgad_lightning.{package} as p\nfor name in p.__all__: getattr(p, name)"
    assert not imported_by(everything) & LIGHTNING


@pytest.mark.parametrize("module", ["attention", "feature_layout", "features", "internals", "losses", "pairing"])
def test_the_functional_core_knows_nothing_of_lightning(module: str) -> None:
    assert not imported_by(f"import lgad_lightning.{module}") & LIGHTNING


def test_every_public_name_can_be_imported() -> None:
    for name in lgad_lightning.__all__:
        assert getattr(lgad_lightning, name) is not None, name
