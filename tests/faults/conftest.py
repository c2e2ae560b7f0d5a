"""What the fault injection shares: things of a user's, and places that take nothing more."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lgad_lightning.data.synthetic import SyntheticData, generate
from tests.faults.endings import checksum
from tests.helpers.commands import TINY, run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def home_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's data in CULane's layout."""
    data = tmp_path_factory.mktemp("home") / "data"
    return generate(SyntheticData(train=16, val=4, test=9, image_size=(148, 410)), data, workers=0)


@pytest.fixture
def kept_data(home_data: Path) -> Iterator[Path]:
    """The user's data, which must be the same after the test as before it."""
    before = checksum(home_data)
    yield home_data
    assert checksum(home_data) == before


@pytest.fixture(scope="session")
def home(home_data: Path) -> Path:
    """What a user owns: `data` in CULane's layout, `own` in folders, and `run`, a finished run. Tests see `kept`."""
    home = home_data.parent
    for split in ("train", "val", "test"):
        (home / "own" / split).mkdir(parents=True)
        for path in (home / "data").glob(f"driver*/{split}_*/*"):
            shutil.copy(path, home / "own" / split)
    (home / "own" / "notes.json").write_text('{"years": "of work"}')
    run("lgad-fit", *TINY, f"data.root={home}/data", "hydra.run.dir=run", folder=home)
    return home


@pytest.fixture
def kept(home: Path) -> Iterator[Path]:
    """The user's things, which must be the same after the test as before it."""
    before = checksum(home)
    yield home
    assert checksum(home) == before


class Disk(NamedTuple):
    """A place with little room: `folder`, or any folder for a process that may write files of `most_bytes` only."""

    folder: Path
    most_bytes: int | None

    def make_room(self) -> None:
        """Makes the disk large."""
        assert self.most_bytes is not None or mount("-o", "remount,size=500m", str(self.folder))


FullDisk = Callable[[int], Disk]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[FullDisk]:
    """Makes a disk of 5 MB with so many bytes left beside the user's `own.bin`, which must stay as it is.

    Where no disk can be mounted, a folder, and the size of the largest file that a command may write.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder))
    own = folder / "own.bin"

    content = b""

    def make(room: int) -> Disk:
        nonlocal content
        content = os.urandom(5 * 1024**2 - room if mounted else 1000)
        own.write_bytes(content)
        return Disk(folder, None if mounted else room)

    yield make
    assert own.read_bytes() == content
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path: Path, kept: Path) -> Iterator[Path]:
    """The user's things in a folder that cannot be written to."""
    folder = tmp_path / "read only"
    shutil.copytree(kept, folder)
    mounted = os.geteuid() == 0 and mount("--bind", str(folder), str(folder))
    if mounted:
        assert mount("-o", "remount,ro,bind", str(folder))
    elif os.geteuid() == 0:
        shutil.rmtree(folder)
        pytest.skip("root may write everywhere, and mount nothing read-only here")
    else:
        subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)] if mounted else ["chmod", "-R", "u+w", str(folder)], check=True)


def mount(*arguments: str) -> bool:
    """Whether it could be mounted."""
    if shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
