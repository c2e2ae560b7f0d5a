"""Every hostile setting ends in one message, exit code 1 or 2, and nothing of the user's is touched."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from lgad_lightning.commands import cli, data, evaluate, export, fit, predict
from lgad_lightning.data.synthetic import SyntheticData, generate
from tests.faults.hostile_settings import CLI, DATA, EVAL, EXPORT, FIT, PREDICT
from tests.helpers.commands import TINY

pytestmark = pytest.mark.faults


def checksum(folder: Path) -> str:
    """Of the names and contents of all files."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode(errors="surrogateescape") + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with a data set of the user's."""
    folder = tmp_path_factory.mktemp("faults")
    generate(SyntheticData(train=16, val=4, test=9, image_size=(148, 410)), folder / "data", workers=0)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LGAD_CACHE", str(folder / "cache"))
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    handlers = list(logging.root.handlers)
    environment = dict(os.environ)
    yield
    logging.root.handlers[:] = handlers
    os.environ.clear()
    os.environ.update(environment)


def refused(
    command: str, main: Callable[[], None], arguments: list[str], word: str, folder: Path, capfd: pytest.CaptureFixture
) -> None:
    """Runs a command in this process and looks at how it ends."""
    before = checksum(folder / "data")
    sys.argv = [f"lgad-{command}", *arguments]
    with pytest.raises(SystemExit) as end:
        main()
    code = end.value.code
    if isinstance(code, str):
        print(code, file=sys.stderr)  # as the interpreter does at its end
        code = 1
    output = capfd.readouterr()
    assert code in (1, 2), output
    assert "Traceback" not in output.out + output.err
    lines = output.err.rstrip().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"lgad-{command}") and ":" in line)
    assert len(lines) - first <= 5, output.err
    assert word in "\n".join(lines[first:]), output.err
    assert checksum(folder / "data") == before


@pytest.mark.parametrize(("setting", "word"), FIT)
def test_fit(setting: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    tiny = [] if setting.startswith("resume=") else [*TINY, "data.root=data"]
    if setting == "trainer=null" or setting.startswith("data=5"):
        tiny = []
    refused("fit", fit.main, [*tiny, setting], word, folder, capfd)


@pytest.mark.parametrize(("arguments", "word"), CLI)
def test_cli(arguments: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    refused("cli", cli.main, arguments.split(), word, folder, capfd)


@pytest.mark.parametrize(("arguments", "word"), DATA)
def test_data(arguments: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    refused("data", data.main, arguments.split(), word, folder, capfd)


@pytest.mark.parametrize(("arguments", "word"), EVAL)
def test_eval(arguments: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    refused("eval", evaluate.main, arguments.split(), word, folder, capfd)


@pytest.mark.parametrize(("arguments", "word"), PREDICT)
def test_predict(arguments: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    refused("predict", predict.main, arguments.split(), word, folder, capfd)


@pytest.mark.parametrize(("arguments", "word"), EXPORT)
def test_export(arguments: str, word: str, folder: Path, capfd: pytest.CaptureFixture) -> None:
    refused("export", export.main, arguments.split(), word, folder, capfd)
