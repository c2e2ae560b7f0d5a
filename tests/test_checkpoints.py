import sys
from pathlib import Path

import torch

from lgad_lightning.checkpoints import WholeCheckpointIO
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
