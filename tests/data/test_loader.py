import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lgad_lightning.data import CULaneDataModule
from lgad_lightning.errors import LgadError


@pytest.fixture
def broken(roads: Path, tmp_path: Path) -> Path:
    """A data set whose third training image is cut off."""
    copy = Path(shutil.copytree(roads, tmp_path / "broken"))
    path = next(copy.rglob("train_000.MP4/00002.jpg"))
    path.write_bytes(path.read_bytes()[:-500])
    return copy


def module(root: Path, **options: object) -> CULaneDataModule:
    data = CULaneDataModule(root, **({"input_size": (36, 80), "batch_size": 2, "num_workers": 0} | options))  # type: ignore
    data.setup()
    return data


@pytest.mark.parametrize("workers", [0, 1])
def test_the_epoch_may_be_set_after_the_iterator_is_made(roads: Path, workers: int) -> None:
    loader = module(roads, num_workers=workers).train_dataloader()
    loader.sampler.set_epoch(7)
    expected = [batch["name"] for batch in loader]
    loader.sampler.set_epoch(0)
    iterator = iter(loader)
    loader.sampler.set_epoch(7)
    assert [batch["name"] for batch in iterator] == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_without_a_workers_traceback(broken: Path, workers: int) -> None:
    with pytest.raises(LgadError) as error:
        list(module(broken, num_workers=workers).train_dataloader())
    assert str(broken) in str(error.value)
    assert "cut off" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_may_be_skipped_and_is_counted(
    broken: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    data = module(broken, num_workers=workers, on_error="skip")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            sizes = [len(batch["name"]) for batch in data.train_dataloader()]
            assert sizes == [2] * 6  # another image takes its place
    ((name, message),) = data.skipped.items()
    assert name.endswith("train_000.MP4/00002.jpg")
    assert "cut off" in message
    assert len(caplog.records) == 1
    data.teardown("fit")
    assert "Skipped 1 images" in caplog.records[-1].message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_of_nothing_is_left_out(broken: Path, workers: int) -> None:
    data = module(broken, batch_size=1, num_workers=workers, on_error="skip")
    assert len(list(data.train_dataloader())) == 12
    next(broken.rglob("val_000.MP4/00003.jpg")).unlink()
    assert [len(batch["name"]) for batch in data.val_dataloader()] == [1, 1, 1]


@pytest.mark.parametrize("split", ["train", "val"])
def test_nothing_but_damaged_images_is_an_error_even_when_skipping(broken: Path, split: str) -> None:
    for path in broken.rglob("*.jpg"):
        path.write_bytes(b"")
    data = module(broken, on_error="skip")
    with pytest.raises(LgadError, match="is empty"):
        list(getattr(data, f"{split}_dataloader")())


def test_reduced_decoding_skips_a_damaged_first_image(broken: Path) -> None:
    next(broken.rglob("train_000.MP4/00000.jpg")).unlink()
    data = module(broken, on_error="skip", reduced_decode=True)
    list(data.train_dataloader())
    assert len(data.skipped) == 2


def test_an_image_removed_between_epochs_is_named(broken: Path) -> None:
    data = module(broken, on_error="skip")
    assert len(list(data.val_dataloader())) == 2
    path = next(broken.rglob("val_000.MP4/00001.jpg"))
    path.unlink()
    list(data.val_dataloader())
    assert str(path) in next(iter(data.skipped.values()))


def test_garbled_lanes_are_named(broken: Path) -> None:
    path = next(broken.rglob("test_000.MP4/00003.lines.txt"))
    path.write_text("12 34 what is this")
    with pytest.raises(LgadError, match=str(path)):
        list(module(broken).test_dataloader())


KILLED = """
import multiprocessing, sys, time
from torch.utils.data._utils import worker
worker.MP_STATUS_CHECK_INTERVAL = 1000.0  # torch's own watch is not what is tested
from lgad_lightning.data import CULaneDataModule
data = CULaneDataModule(sys.argv[1], input_size=(40, 100), batch_size=2, num_workers=2)
data.setup("fit")
batches = iter(data.train_dataloader())
next(batches)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(60)
"""


def test_workers_end_with_a_training_that_was_killed(roads: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(roads)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(workers) == 2
    ends = time.monotonic() + 30  # a busy machine may take its time
    while any(is_running(pid) for pid in workers) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in workers)


def is_running(pid: int) -> bool:
    """Whether a process runs still; one that has ended and is not waited for does not."""
    status = Path(f"/proc/{pid}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()
