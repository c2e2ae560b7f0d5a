"""Hostile files: whatever a file holds, the command that reads it ends in a few words, and leaves it as it is."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.endings import checksum, told
from tests.faults.hostile_files import BINARY, CONTENTS, contents_of
from tests.helpers.commands import TINY, TINY_CLI
from tests.helpers.in_one_process import run_each

Call = list[str]


def write_all(folder: Path, make: Callable[[Path], Path]) -> dict[str, Path]:
    """A folder for each content that the file may hold which `make` names in it."""
    folders = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        file = make(folder / str(number))
        if name in contents_of(file):
            file.write_bytes(content)
            folders[name] = folder / str(number)
    return folders


def small_data(folder: Path, home: Path) -> Path:
    """A copy of the user's data set, of one image a split."""
    for name in ("train_gt", "val_gt", "test"):
        (folder / "list").mkdir(parents=True, exist_ok=True)
        line = (home / "data" / "list" / f"{name}.txt").read_text().splitlines()[0]
        (folder / "list" / f"{name}.txt").write_text(f"{line}\n")
        for path in line.split()[:2]:
            for file in (Path(path[1:]), Path(path[1:]).with_suffix(".lines.txt")):
                if (home / "data" / file).is_file():
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(home / "data" / file, folder / file)
    return folder


def placed(pattern: str, home: Path) -> Callable[[Path], Path]:
    """Makes a small data set and names the file in it that a pattern finds first."""
    return lambda folder: sorted(small_data(folder, home).rglob(pattern))[0]


def alone(name: str) -> Callable[[Path], Path]:
    """Names a file in a new folder."""

    def make(folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True)
        return folder / name

    return make


def try_all(module: str, folder: Path, make: Callable[[Path], Path], call: Callable[[Path], Sequence[str]]) -> None:
    """Calls a command once for each of the contents."""
    folders = write_all(folder / "files", make)
    assert len(folders) >= 20 or set(folders) == set(BINARY)
    before = checksum(folder / "files")
    (folder / "work").mkdir()
    ends = run_each(f"lgad_lightning.commands.{module}", [call(place) for place in folders.values()], folder / "work")
    assert checksum(folder / "files") == before
    told(list(folders), ends)


@pytest.mark.parametrize("pattern", ["train_gt.txt", "test.txt", "train_000.MP4/00000.jpg", "*/train_000.MP4/*.png"])
def test_fit_on_a_data_set(pattern: str, kept: Path, tmp_path: Path) -> None:
    settings = [
        setting for setting in TINY if not setting.startswith(("data.train", "data.val", "data.test", "data.im"))
    ]
    call = ["data=culane", *settings, "data.batch_size=1", "trainer.max_epochs=0"]
    try_all("fit", tmp_path, placed(pattern, kept), lambda folder: [*call, f"data.root={folder}"])


def test_fit_under_a_teacher(kept: Path, tmp_path: Path) -> None:
    call = [*TINY, f"data.root={kept}/data"]
    try_all("fit", tmp_path, alone("teacher.ckpt"), lambda folder: [*call, f"teacher.checkpoint={folder}/teacher.ckpt"])


def test_fit_goes_on(kept: Path, tmp_path: Path) -> None:
    try_all("fit", tmp_path, alone("it's/.hydra/config.yaml"), lambda folder: [f"resume={folder}/it's"])


def test_cli_by_a_configuration(kept: Path, tmp_path: Path) -> None:
    try_all("cli", tmp_path, alone("a.yaml"), lambda folder: ["fit", "--config", f"{folder}/a.yaml"])


def test_cli_from_a_checkpoint(kept: Path, tmp_path: Path) -> None:
    call = ["test", "--config=culane_erfnet_student.yaml", f"--data.root={kept}/data", *TINY_CLI]
    try_all("cli", tmp_path, alone("a.ckpt"), lambda folder: [*call, f"--ckpt_path={folder}/a.ckpt"])


def test_cli_on_a_data_set(kept: Path, tmp_path: Path) -> None:
    call = ["fit", "--config=culane_erfnet_teacher.yaml", *TINY_CLI]
    try_all("cli", tmp_path, placed("train_gt.txt", kept), lambda folder: [*call, f"--data.root={folder}"])


@pytest.mark.parametrize("command", ["check", "stats", "preview"])
@pytest.mark.parametrize("pattern", ["train_gt.txt", "train_000.MP4/00000.jpg", "*/train_000.MP4/*.png"])
def test_data(command: str, pattern: str, kept: Path, tmp_path: Path) -> None:
    workers = [] if command == "preview" else ["--workers=0"]
    try_all("data", tmp_path, placed(pattern, kept), lambda folder: [command, str(folder), *workers])


@pytest.mark.parametrize("name", ["train.jsonl", "label_data_0313.json", "synthetic.json"])
def test_data_in_one_file(name: str, kept: Path, tmp_path: Path) -> None:
    command = "synth" if name == "synthetic.json" else "check"
    try_all("data", tmp_path, alone(name), lambda folder: [command, str(folder), "--workers=0"])


def test_eval_by_a_list(kept: Path, tmp_path: Path) -> None:
    call = ["culane", f"--pred={kept}/run/predictions", f"--data={kept}/data", "--workers=1"]
    try_all("evaluate", tmp_path, alone("a.txt"), lambda folder: [*call, f"--list={folder}/a.txt"])


@pytest.mark.parametrize("side", ["pred", "gt"])
def test_eval_of_tusimple(side: str, kept: Path, golden_dir: Path, tmp_path: Path) -> None:
    golden = golden_dir / "tusimple" / "public"
    files = {"pred": golden / "pred.json", "gt": golden / "label.json"}

    def call(folder: Path) -> Call:
        return ["tusimple", *(f"--{name}={path}" for name, path in (files | {side: folder / "a.json"}).items())]

    try_all("evaluate", tmp_path, alone("a.json"), call)
