from importlib.metadata import version

import yaml

import lgad_lightning
from tests.conftest import CHECKOUT


def test_the_version_is_that_of_the_installed_package() -> None:
    assert lgad_lightning.__version__ == version("lgad-lightning")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert citation["version"] == version("lgad-lightning")
