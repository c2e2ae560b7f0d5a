from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override

from lgad_lightning.errors import LgadError

LOWER = ("loss", "fp", "fn")
HIGHER = (
    "iou", "existence_accuracy", "f1", "precision", "recall", "tp", "accuracy", "pixel_iou", "image_recall", "image_iou"
)  # fmt: skip

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` whose run may be moved or copied: what it remembers are names within its folder.

    Lightning's own remembers absolute paths. Resumed elsewhere it forgets which checkpoint was best, or tests the one
    in the old place.

    Args:
        args: As for `ModelCheckpoint`.
        kwargs: As for `ModelCheckpoint`.

    Example:
        >>> RunCheckpoint("checkpoints", monitor="val/f1", mode="max").mode
        'max'
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    @override
    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state |= {key: Path(state[key]).name for key in _PATHS}
        scores = {Path(path).name: score for path, score in state["best_k_models"].items()}
        return state | {"best_k_models": scores, "dirpath": None}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = Path(self.dirpath or ".")
        state = state_dict | {"dirpath": self.dirpath}
        # Earlier checkpoints hold whole paths; their names are what counts.
        state |= {key: str(folder / Path(state[key]).name) if state[key] else "" for key in _PATHS}
        scores = {str(folder / Path(path).name): score for path, score in state["best_k_models"].items()}
        super().load_state_dict(state | {"best_k_models": scores})


def is_better_high(monitor: str) -> bool:
    """Whether a higher figure is a better one.

    Args:
        monitor: A figure that `LaneStudent` logs in validation, such as `val/f1`.

    Raises:
        LgadError: If no such figure is logged.

    Example:
        >>> is_better_high("val/f1"), is_better_high("val/loss")
        (True, False)
    """
    split, _, figure = monitor.partition("/")
    if split != "val" or figure not in LOWER + HIGHER:
        known = ", ".join(f"val/{name}" for name in HIGHER + LOWER)
        raise LgadError(f"monitor={monitor} is no figure of the validation: choose one of {known}.")
    return figure in HIGHER


def best_checkpoint(dirpath: str, monitor: str) -> RunCheckpoint:
    """The callback that keeps `best.ckpt`, by a figure of the validation.

    Args:
        dirpath: Folder of the checkpoint.
        monitor: A figure that `LaneStudent` logs in validation, such as `val/f1` or `val/loss`; whether a higher or a
            lower one is better follows from it.

    Raises:
        LgadError: If no such figure is logged.

    Example:
        >>> best_checkpoint("checkpoints", "val/loss").mode
        'min'
    """
    mode = "max" if is_better_high(monitor) else "min"
    return RunCheckpoint(dirpath, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)
