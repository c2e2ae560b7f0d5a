import pytest

from lgad_lightning.callbacks import best_checkpoint
from lgad_lightning.errors import LgadError


@pytest.mark.parametrize(("monitor", "mode"), [("val/loss", "min"), ("val/fp", "min"), ("val/f1", "max")])
def test_what_is_better_follows_from_the_figure(tmp_path, monitor, mode):
    callback = best_checkpoint(str(tmp_path), monitor)
    assert (callback.monitor, callback.mode) == (monitor, mode)


@pytest.mark.parametrize("monitor", ["val/nope", "train/loss", "loss", ""])
def test_unknown_figures_are_refused(tmp_path, monitor):
    with pytest.raises(LgadError, match="no figure of the validation"):
        best_checkpoint(str(tmp_path), monitor)
