"""The API reference shows each public name once; this leads every mention of it there, and misses none.

A class is shown where its package exports it: `lgad_lightning.data.CULaneDataModule`, though it lives in
`lgad_lightning.data.culane` and `lgad_lightning` exports it too. In a docstring `CULaneDataModule` leads there.
"""

import importlib
from functools import cache

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

log = logging.getLogger(__name__)

PACKAGES = (
    "lgad_lightning",
    "lgad_lightning.callbacks",
    "lgad_lightning.data",
    "lgad_lightning.data.synthetic",
    "lgad_lightning.inference",
    "lgad_lightning.lanes",
    "lgad_lightning.metrics",
    "lgad_lightning.metrics.functional",
    "lgad_lightning.modules",
    "lgad_lightning.networks",
)
"""Those whose `__init__` exports names, from the top down."""

_KINDS = ("class", "data", "exception", "function")  # what a name without its module may lead to


@cache
def homes() -> dict[str, str]:
    """From every path of each exported thing to the one under which it is shown: that in the deepest package."""
    exported = [
        (f"{package}.{name}", f"{getattr(getattr(module, name), '__module__', package)}.{name}")
        for package in PACKAGES
        for module in [importlib.import_module(package)]
        for name in module.__all__
    ]
    shown = {lives: path for path, lives in exported}
    return shown | {path: shown[lives] for path, lives in exported}


def _lead_home(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    name = node["reftarget"]
    ends = [path for path, _, kind, *_ in domain.get_objects() if kind in _KINDS and path.endswith(f".{name}")]
    shown = homes().get(name) or (ends[0] if len(ends) == 1 else None)
    if shown is None:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", shown, node, content)


def _miss_none(app: Sphinx, env: BuildEnvironment) -> None:
    shown = {name for name, *_ in env.get_domain("py").get_objects()}
    for name in sorted(set(homes().values()) - shown):
        log.warning("%s is public, and on no page of docs/api", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds both handlers."""
    app.connect("missing-reference", _lead_home)
    app.connect("env-check-consistency", _miss_none)
    return {"parallel_read_safe": True}
