import re
from datetime import date
from importlib.metadata import version

import yaml

import lgad_lightning
from tests.conftest import CHECKOUT


def test_the_version_is_that_of_the_installed_package() -> None:
    assert lgad_lightning.__version__ == version("lgad-lightning")


def test_changelog_and_citation_name_this_version_and_one_date() -> None:
    unreleased, newest = re.findall(r"^## (.*)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)[:2]
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert unreleased == "Unreleased"
    assert newest == f"{citation['version']} - {citation['date-released']}"
    assert citation["version"] == version("lgad-lightning")
    assert isinstance(citation["date-released"], date)
