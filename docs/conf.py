"""Settings of the documentation site: `nox -s docs` builds it."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "lgad-lightning"
author = "The lgad-lightning authors"
copyright = author
version = release = installed_version(project)

extensions = [
    "myst_nb",  # Markdown pages, and tutorials that are run
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "configuration_reference",
    "fenced_docstrings",
    "public_names",
]
exclude_patterns = ["extensions"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_output_stderr = "remove"  # progress bars, and what libraries say of the machine
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds a cell, on a busy machine
nb_merge_streams = True

default_role = "py:obj"  # `Name` in a docstring leads to it, where there is such a name
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of Lightning belong to its own site
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autosummary_generate = False
nitpicky = True
nitpick_ignore_regex = [
    ("py:(class|obj)", ".*"),  # types of other packages and of what is not public, `code` in docstrings
]

highlight_language = "none"  # a block that names no language
html_theme = "furo"
html_title = f"lgad-lightning {release}"
html_show_search_summary = False  # summaries cannot be fetched where the site is opened as files
html_static_path = ["static"]
html_css_files = ["site.css"]
