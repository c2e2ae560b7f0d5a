import sys
from pathlib import Path

import torch

from lgad_lightning.checkpoints import WholeCheckpointIO, is_whole
from tests.helpers.commands import environment, finish
from tests.helpers.warm import Warm


def save() -> None:
    WholeCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, sys.argv[1])


def test_writes_what_lightning_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"weights": torch.ones(3)}, path)
    assert torch.equal(WholeCheckpointIO().load_checkpoint(path)["weights"], torch.ones(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"weights": torch.ones(3)}, path)
    failed = finish(Warm(Path(__file__), (str(path),), tmp_path, environment(tmp_path), most=100_000, main=save))
    assert f"LgadError: The checkpoint {path} cannot be written" in failed.stderr
    assert torch.equal(torch.load(path)["weights"], torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_whole_or_not(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    assert not is_whole(path)
    torch.save({"weights": torch.ones(1000)}, path)
    assert is_whole(path)
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"no checkpoint"):
        path.write_bytes(broken)
        assert not is_whole(path)
    torch.save([1], path)
    assert not is_whole(path)


def test_a_checkpoint_with_any_damage_is_read_or_not(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.ones(3)}, path)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :])
        assert is_whole(path) in (True, False)
