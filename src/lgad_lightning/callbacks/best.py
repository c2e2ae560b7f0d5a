from lightning.pytorch.callbacks import ModelCheckpoint

from lgad_lightning.errors import LgadError

LOWER = ("loss", "fp", "fn")
HIGHER = ("iou", "existence_accuracy", "f1", "precision", "recall", "tp", "accuracy")


def best_checkpoint(dirpath: str, monitor: str) -> ModelCheckpoint:
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
    split, _, figure = monitor.partition("/")
    if split != "val" or figure not in LOWER + HIGHER:
        known = ", ".join(f"val/{name}" for name in HIGHER + LOWER)
        raise LgadError(f"monitor={monitor} is no figure of the validation: choose one of {known}.")
    mode = "min" if figure in LOWER else "max"
    return ModelCheckpoint(dirpath, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)
