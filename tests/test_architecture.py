"""The directions of imports that CONTRIBUTING states, read from the source."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lgad_lightning.data import LaneDataModule, LaneSource
from lgad_lightning.metrics.base import LaneMetric
from lgad_lightning.modules import LaneModule
from tests.conftest import CHECKOUT

PACKAGE = CHECKOUT / "src" / "lgad_lightning"
LEVELS = (
    {"errors", "extras", "rebuildable", "internals"},
    {"longwork", "comparison"},
    {"lanes", "attention", "features", "feature_layout", "pairing", "batch_items", "label_values"},
    {"annotations", "networks", "metrics", "losses", "drawing", "attention_file", "lane_attention"},
    {"data", "checkpoints"},
    {"modules", "curation"},
    {"callbacks"},
    {"inference", "reporting"},
    {"export"},
    {"commands", "__main__"},
)
"""The parts of the package, from the lowest level up. A part may import from its own level and from lower ones."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"}


def exports(package: str) -> dict[str, str]:
    """The module in which each name that a package exports lives."""
    stub = MODULES[package].with_suffix(".pyi") if package in MODULES else PACKAGE / "__init__.pyi"
    if not stub.is_file():
        return {}
    found = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{package}.{node.module}" for node in found for alias in node.names}


def imports(module: str) -> set[str]:
    """The modules of the package that a module imports, for types or inside of functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("lgad_lightning."):
            continue
        target = node.module.removeprefix("lgad_lightning.")
        for alias in node.names:
            inside = f"{target}.{alias.name}"
            found.add(inside if inside in MODULES else exports(target).get(alias.name, target))
    return found


def level(module: str) -> int:
    return next(number for number, parts in enumerate(LEVELS) if module.split(".")[0] in parts)


def test_every_part_has_a_level() -> None:
    assert {module.split(".")[0] for module in MODULES} == set().union(*LEVELS)


def test_imports_run_downward() -> None:
    upward = [f"{module} -> {to}" for module in MODULES for to in imports(module) if level(to) > level(module)]
    assert upward == []


def test_no_module_imports_itself_through_others() -> None:
    order = TopologicalSorter({module: imports(module) - {module} for module in MODULES}).static_order()
    assert set(order) >= set(MODULES)


@pytest.mark.parametrize("base", [LaneDataModule, LaneModule, LaneSource, LaneMetric])
def test_a_forgotten_method_is_an_error(base: type) -> None:
    incomplete = type("Incomplete", (base,), {})
    with pytest.raises(TypeError, match="abstract"):
        incomplete()
