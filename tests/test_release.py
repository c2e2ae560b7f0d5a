"""What goes to PyPI, and what surrounds it: distributions, pinned versions, workflows, issue templates."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CHECKOUT

VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
PINS = dict(line.split("==") for line in (CHECKOUT / "constraints.txt").read_text().split())
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))


def build(source: Path, kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(CHECKOUT, "sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"lgad_lightning-{VERSION}"


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the wheel that is built of the sdist alone."""
    with zipfile.ZipFile(build(sdist, "wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_package_configurations_and_licence(wheel: set[str]) -> None:
    package = {
        path.relative_to(CHECKOUT / "src").as_posix() for path in (CHECKOUT / "src").rglob("*") if path.is_file()
    }
    package = {name for name in package if "__pycache__" not in name}
    conf = {f"lgad_lightning/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "conf").rglob("*.yaml")}
    about = f"lgad_lightning-{VERSION}.dist-info"
    named = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert {"lgad_lightning/py.typed", "lgad_lightning/reporting/templates/run.html"} < package
    assert wheel == package | conf | named


def test_the_sdist_holds_sources_tests_and_documentation(sdist: Path) -> None:
    for name in (
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "noxfile.py",
        "conf/fit.yaml",
    ):
        assert (sdist / name).is_file(), name
    assert (sdist / "tests" / "test_release.py").is_file()
    assert (sdist / "docs" / "conf.py").is_file()


def test_the_version_is_written_in_one_place() -> None:
    elsewhere = [
        path.relative_to(CHECKOUT)
        for path in [*(CHECKOUT / "src").rglob("*.py"), CHECKOUT / "docs" / "conf.py"]
        if re.search(rf"""["']{re.escape(VERSION)}["']""", path.read_text())
    ]
    assert not elsewhere


def test_the_installation_page_names_every_extra() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (CHECKOUT / "docs" / "installation.md").read_text()
    assert [extra for extra in extras if f"| `{extra}` |" not in page] == []


def test_pre_commit_has_the_versions_of_ci() -> None:
    (hook,) = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    assert hook["repo"].endswith("/ruff-pre-commit")
    assert hook["rev"] == f"v{PINS['ruff']}"


NOXFILE = (CHECKOUT / "noxfile.py").read_text()
SESSIONS = set(re.findall(r"@nox\.session(?:\(venv_backend=\"uv\"\))?\ndef (\w+)", NOXFILE))


def test_full_runs_all_sessions_but_those_that_repeat_others() -> None:
    (full,) = re.findall(r"^FULL = (.*)$", NOXFILE, re.MULTILINE)
    assert set(ast.literal_eval(full)) == SESSIONS - {"coverage", "strangers"}


def test_ci_names_sessions_that_exist() -> None:
    job = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]["nox"]
    assert set(job["strategy"]["matrix"]["session"]) <= SESSIONS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_only_the_permissions_that_they_need(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job
        assert job["permissions"] == ({"id-token": "write"} if name == "publish" else {"contents": "read"})
    assert "secrets." not in path.read_text()  # PyPI trusts the workflow: there is no token


@pytest.mark.parametrize("name", ["bug", "figures"])
def test_issues_ask_for_the_configuration_and_the_check(name: str) -> None:
    form: dict[str, Any] = yaml.safe_load((CHECKOUT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    asked = {field["id"]: field for field in form["body"] if "id" in field}
    assert "`config.yaml`" in asked["config"]["attributes"]["label"]
    assert "`lgad-data check DIR --json check.json`" in asked["check"]["attributes"]["label"]
    assert asked["config"]["validations"]["required"]
    assert asked["check"]["validations"]["required"]
