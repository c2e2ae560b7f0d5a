"""A full disk: nothing half is left, what was there stays, and the same command goes on when there is room."""

from pathlib import Path

import pytest

from tests.faults.conftest import FullDisk
from tests.faults.endings import ended, told
from tests.helpers.commands import TINY, TINY_CLI, run


def test_fit(full_disk: FullDisk, kept: Path) -> None:
    disk = full_disk(150_000)
    call = (*TINY, f"data.root={kept}/data", "hydra.run.dir=run")
    end = ended("lgad-fit", *call, folder=disk.folder, most_bytes=disk.most_bytes)
    told(["lgad-fit"], [end], ["cannot be written"])
    assert not list(disk.folder.rglob("*.ckpt"))
    assert not list(disk.folder.rglob("*.part"))
    disk.make_room()
    run("lgad-fit", "resume=run", folder=disk.folder)


def test_a_cache_of_teachers(full_disk: FullDisk, kept: Path, tmp_path: Path) -> None:
    disk = full_disk(50_000)
    if disk.most_bytes is not None:
        pytest.skip("no disk for the cache alone can be mounted")
    call = (*TINY, f"data.root={kept}/data", f"teacher.cache_dir={disk.folder}", "trainer.max_epochs=1")
    assert "The teacher is not kept" in run("lgad-fit", *call, folder=tmp_path).stdout
    assert [path.name for path in disk.folder.iterdir()] == ["own.bin"]


def test_cli(full_disk: FullDisk, kept: Path) -> None:
    disk = full_disk(150_000)
    call = (
        "fit",
        "--config=culane_erfnet_teacher.yaml",
        f"--data.root={kept}/data",
        *TINY_CLI,
        "--trainer.max_epochs=1",
    )
    told(["lgad-cli"], [ended("lgad-cli", *call, folder=disk.folder, most_bytes=disk.most_bytes)])
    assert not list(disk.folder.rglob("*.ckpt"))
    disk.make_room()
    run("lgad-cli", *call, folder=disk.folder)


def test_synth(full_disk: FullDisk) -> None:
    disk = full_disk(20_000)
    call = ("synth", "data", "--train=9", "--val=1", "--test=9", "--size=820x295")
    told(["synth"], [ended("lgad-data", *call, folder=disk.folder, most_bytes=disk.most_bytes)], ["kept and continued"])
    assert not (disk.folder / "data").exists()
    disk.make_room()
    run("lgad-data", *call, folder=disk.folder)
    run("lgad-data", "check", "data", folder=disk.folder)


OUTPUTS = (
    ("lgad-data", ("check", "--json=out")),
    ("lgad-data", ("stats", "--json=out")),
    ("lgad-data", ("stats", "--picture=out.png")),
    ("lgad-data", ("preview", "--out=out.png")),
    ("lgad-eval", ("culane", "--json=out")),
    ("lgad-eval", ("culane", "--per-image=out")),
)


@pytest.mark.parametrize(("name", "call"), OUTPUTS)
def test_outputs(name: str, call: tuple[str, ...], full_disk: FullDisk, kept: Path) -> None:
    disk = full_disk(0)
    what = (f"--pred={kept}/run/predictions", f"--data={kept}/data") if name == "lgad-eval" else (f"{kept}/data",)
    end = ended(name, call[0], *what, *call[1:], folder=disk.folder, most_bytes=disk.most_bytes)
    told([call], [end], ["cannot be written"])
    assert [path for path in disk.folder.iterdir() if path.is_file()] == [disk.folder / "own.bin"]
