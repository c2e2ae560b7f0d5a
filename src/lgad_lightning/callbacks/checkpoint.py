from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override

from lgad_lightning.comparison import HIGHER_IS_BETTER, LOWER_IS_BETTER
from lgad_lightning.errors import LgadError

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` for runs that may be moved or copied: it stores names of files, not absolute paths.

    Lightning's `ModelCheckpoint` stores absolute paths. If a run continues in another folder, it does not know which
    checkpoint was best, or it tests the checkpoint in the old folder. The arguments are those of `ModelCheckpoint`.

    Example:
        >>> RunCheckpoint("checkpoints", monitor="val/f1", mode="max").mode
        'max'
    """

    @override
    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state |= {key: self._name(state[key]) for key in _PATHS}
        scores = {self._name(path): score for path, score in state["best_k_models"].items()}
        return state | {"best_k_models": scores, "dirpath": None}

    def _name(self, path: str) -> str:
        """A file's path from the folder of the checkpoints: `{val/f1}` in `filename` makes folders in it."""
        if self.dirpath is not None and Path(path).is_relative_to(self.dirpath):
            return str(Path(path).relative_to(self.dirpath))
        return Path(path).name

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = str(self.dirpath or ".")
        state = state_dict | {"dirpath": self.dirpath}

        def place(path: str) -> str:  # Lightning's own callback stores whole paths
            name = Path(path).name if Path(path).is_absolute() else path
            return f"{folder.rstrip('/')}/{name}" if "://" in folder else str(Path(folder, name))

        state |= {key: place(state[key]) if state[key] else "" for key in _PATHS}
        scores = {place(path): score for path, score in state["best_k_models"].items()}
        super().load_state_dict(state | {"best_k_models": scores})


def is_better_high(monitor: str) -> bool:
    """Whether a higher value of a figure is better.

    Args:
        monitor: A figure that `LaneStudent` logs in validation, such as `val/f1`.

    Raises:
        LgadError: If no such figure is logged.

    Example:
        >>> is_better_high("val/f1"), is_better_high("val/loss")
        (True, False)
    """
    split, _, figure = monitor.partition("/")
    if split != "val" or figure not in HIGHER_IS_BETTER + LOWER_IS_BETTER:
        known = ", ".join(f"val/{name}" for name in HIGHER_IS_BETTER + LOWER_IS_BETTER)
        raise LgadError(f"monitor={monitor} is not a figure of the validation: choose one of {known}.")
    return figure in HIGHER_IS_BETTER


def best_checkpoint(dirpath: str, monitor: str) -> RunCheckpoint:
    """Make the callback that keeps `best.ckpt`, the best checkpoint by a figure of the validation.

    Args:
        dirpath: Folder of the checkpoint.
        monitor: A figure that `LaneStudent` logs in validation, such as `val/f1` or `val/loss`. For losses, `val/fp`
            and `val/fn`, lower is better; for the others, higher.

    Raises:
        LgadError: If no such figure is logged.

    Example:
        >>> best_checkpoint("checkpoints", "val/loss").mode
        'min'
    """
    mode = "max" if is_better_high(monitor) else "min"
    return RunCheckpoint(dirpath, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)
