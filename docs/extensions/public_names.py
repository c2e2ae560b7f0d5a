"""The API reference shows each public name once; this leads every mention of it there, and misses none.

A class is shown where its package exports it: `lgad_lightning.data.CULaneDataModule`, though it lives in
`lgad_lightning.data.culane` and `lgad_lightning` exports it too. In a docstring `CULaneDataModule` leads there.
"""

import importlib
import pkgutil
from functools import cache

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import lgad_lightning

log = logging.getLogger(__name__)

_KINDS = ("class", "data", "exception", "function")  # what a name without its module may lead to


@cache
def homes() -> dict[str, str]:
    """From every path of each exported thing to the one under which it is shown: that in the deepest package."""
    packages = [lgad_lightning.__name__]
    packages += [
        found.name for found in pkgutil.walk_packages(lgad_lightning.__path__, "lgad_lightning.") if found.ispkg
    ]
    exported = [
        (f"{package.__name__}.{name}", f"{getattr(getattr(package, name), '__module__', package.__name__)}.{name}")
        for package in map(importlib.import_module, sorted(packages))
        for name in getattr(package, "__all__", ())
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
