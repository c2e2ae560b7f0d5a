import pytest
import torch

from lgad_lightning.callbacks import RunCheckpoint, best_checkpoint
from lgad_lightning.errors import LgadError


@pytest.mark.parametrize(("monitor", "mode"), [("val/loss", "min"), ("val/fp", "min"), ("val/f1", "max")])
def test_the_mode_follows_from_the_monitored_figure(tmp_path, monitor, mode):
    callback = best_checkpoint(str(tmp_path), monitor)
    assert (callback.monitor, callback.mode) == (monitor, mode)


@pytest.mark.parametrize("monitor", ["val/nope", "train/loss", "loss", ""])
def test_unknown_figures_are_refused(tmp_path, monitor):
    with pytest.raises(LgadError, match="not a figure of the validation"):
        best_checkpoint(str(tmp_path), monitor)


def test_a_moved_folder_keeps_its_best_checkpoint(tmp_path):
    here, there = (RunCheckpoint(tmp_path / name, monitor="val/f1", mode="max") for name in ("here", "there"))
    best, last = str(tmp_path / "here" / "best.ckpt"), str(tmp_path / "here" / "last.ckpt")
    here.best_model_path = here.kth_best_model_path = best
    here.last_model_path = last
    here.best_model_score = torch.tensor(0.7)
    here.best_k_models = {best: torch.tensor(0.7)}
    assert str(tmp_path) not in str(here.state_dict())
    there.load_state_dict(here.state_dict())
    moved = str(tmp_path / "there" / "best.ckpt")
    assert there.best_model_path == there.kth_best_model_path == moved
    assert there.last_model_path == str(tmp_path / "there" / "last.ckpt")
    assert there.best_k_models == {moved: torch.tensor(0.7)}
    assert there.best_model_score == 0.7


def test_a_moved_folder_keeps_checkpoints_in_folders_of_their_own(tmp_path):
    """`filename="{epoch}-{val/f1:.2f}"` makes a folder for each epoch."""
    here, there = (RunCheckpoint(tmp_path / name, monitor="val/f1", save_top_k=2) for name in ("here", "there"))
    names = ("epoch=1-val/f1=0.50.ckpt", "epoch=2-val/f1=0.50.ckpt")
    here.best_k_models = {str(tmp_path / "here" / name): torch.tensor(0.5) for name in names}
    here.best_model_path = str(tmp_path / "here" / names[1])
    there.load_state_dict(here.state_dict())
    assert list(there.best_k_models) == [str(tmp_path / "there" / name) for name in names]
    assert there.best_model_path == str(tmp_path / "there" / names[1])


def test_a_folder_may_be_an_address():
    callback = RunCheckpoint("memory://bucket/run", monitor="val/f1")
    callback.best_model_path = "memory://bucket/run/best.ckpt"
    callback.load_state_dict(callback.state_dict())
    assert callback.best_model_path == "memory://bucket/run/best.ckpt"
