import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lgad_lightning.longwork import resumable
from lgad_lightning.longwork.resumable import accumulate
from tests.helpers.commands import heed_interrupts


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("LGAD_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / f"{number}.txt" for number in range(10)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
    return paths


def read(path: Path) -> int:
    return int(path.read_text())


def add(state: dict[str, Any], number: int) -> None:
    state["seen"].append(number)
    state["sum"] += number


def work(files: list[Path], function: Callable[[Path], int] = read, workers: int = 0) -> dict[str, Any]:
    state = {"seen": [], "sum": torch.zeros(1)}
    return accumulate(function, files, add, state, "Reading", workers, key="a test", files=lambda path: [path])


def interrupted_at(number: int) -> Callable[[Path], int]:
    def function(path: Path) -> int:
        if read(path) == number:
            raise KeyboardInterrupt
        return read(path)

    return function


def test_everything_is_added_in_order_and_nothing_left_behind(files: list[Path], tmp_path: Path) -> None:
    state = work(files, workers=2)
    assert state["seen"] == list(range(10))
    assert state["sum"] == 45
    assert not list((tmp_path / "cache").rglob("*.pt"))


def test_an_interrupted_call_goes_on(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(files, interrupted_at(6))
    with caplog.at_level(logging.WARNING):
        state = work(files, lambda path: 100 + read(path))
    assert state["seen"] == [0, 1, 2, 3, 4, 5, 106, 107, 108, 109]
    assert state["sum"] == sum(state["seen"])
    assert "continuing after 6 of 10" in caplog.text
    assert work(files)["seen"] == list(range(10))  # after the end, all begins anew


@pytest.mark.parametrize("change", ["content", "removal", "order"])
def test_changed_files_start_the_work_again(files: list[Path], change: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(files, interrupted_at(6))
    if change == "content":
        files[2].write_text("2000")
    elif change == "removal":
        del files[3]
    else:
        files.reverse()
    assert work(files)["seen"] == [read(path) for path in files]
    assert "starting again" in caplog.text


def test_another_key_is_other_work(files: list[Path]) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(files, interrupted_at(6))
    fresh: dict[str, Any] = {"seen": [], "sum": 0}
    state = accumulate(read, files, add, fresh, "", 0, key="another", files=lambda path: [path])
    assert state["sum"] == 45


def test_a_damaged_state_is_ignored(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(files, interrupted_at(6))
    (saved,) = (tmp_path / "cache").rglob("*.pt")
    saved.write_bytes(saved.read_bytes()[:50])
    assert work(files)["sum"] == 45


def test_a_folder_that_cannot_be_written_costs_only_the_resuming(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(resumable, "_SECONDS", 0)
    assert work(files)["sum"] == 45
    assert caplog.text.count("cannot be saved") == 1


def test_an_interruption_while_adding_counts_nothing_twice(files: list[Path]) -> None:
    def add_and_stop(state: dict[str, Any], number: int) -> None:
        add(state, number)
        if number == 4:
            raise KeyboardInterrupt

    state: dict[str, Any] = {"seen": [], "sum": 0}
    with pytest.raises(KeyboardInterrupt):
        accumulate(read, files, add_and_stop, state, "", 0, key="a test", files=lambda path: [path])
    assert work(files)["seen"] == list(range(10))


SCRIPT = """
import time
from pathlib import Path
from lgad_lightning.longwork import resumable
resumable._SECONDS = 0.05
def slowly(number):
    time.sleep(0.05)
    return number
def add(state, number):
    state["sum"] += number
    print(number, flush=True)
resumable.accumulate(slowly, range(100), add, {"sum": 0}, "", 2, key="slow", files=lambda number: [])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_loses_little(tmp_path: Path, number: signal.Signals) -> None:
    environment = os.environ | {"LGAD_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 60:
            pass
        process.send_signal(number)
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.returncode not in (None, 0)
    rest = subprocess.run(command, capture_output=True, env=environment, text=True, check=True, timeout=60)
    numbers = [int(line) for line in rest.stdout.splitlines()]
    assert 10 < numbers[0] < 100
    assert numbers == list(range(numbers[0], 100))
