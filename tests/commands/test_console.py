import os
import subprocess
import sys
from pathlib import Path

import pytest

from lgad_lightning.commands.console import lasting_output, run_command
from lgad_lightning.errors import LgadError

WORK = """
import sys
from pathlib import Path
from lgad_lightning.commands.console import run_command

def work():
    for _ in range(3):
        print("x" * 100_000, flush=True)
    Path("result.txt").write_text("whole")

run_command("lgad-test", work)
"""


@pytest.mark.parametrize(
    ("place", "code", "told"), [("| head -c 5 > /dev/null", 0, ""), ("> /dev/full", 1, "No space left")]
)
def test_work_goes_on_if_what_it_prints_cannot_be_written(place: str, code: int, told: str, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("needs /dev/full")
    (tmp_path / "work.py").write_text(WORK)
    command = f"{sys.executable} work.py {place}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tmp_path / "result.txt").read_text() == "whole"
    assert ended.returncode == code
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_printing_is_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with lasting_output():
        print("told")
    assert sys.stdout is before
    assert capsys.readouterr().out == "told\n"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "secret"), LgadError("secret is wrong")])
def test_errors_of_files_end_with_one_line(error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(SystemExit, match=r"^lgad-test: .*secret") as caught:
        run_command("lgad-test", work)
    assert "\n" not in str(caught.value.code)
