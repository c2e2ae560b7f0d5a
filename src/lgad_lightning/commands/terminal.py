"""What `lgad-fit` prints on the terminal: its own messages and real warnings. Everything else is in its log file."""

import logging
import warnings
from typing import Any

import lightning as L
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import TQDMProgressBar
from typing_extensions import override

from lgad_lightning.internals import open_bars

OWN = "lgad_lightning"
TIPS = (PossibleUserWarning, DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Warnings that the user of a command cannot fix."""


class OwnWords(logging.Filter):
    """Passes messages of this package, and warnings of others."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        least = logging.INFO if record.name.split(".")[0] == OWN else logging.WARNING
        return record.levelno >= least


def speak_plainly() -> None:
    """Keeps the terminal for messages of `lgad-fit`. Messages and tips of libraries go only to the log file."""
    warnings.showwarning = log_warning
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setFormatter(logging.Formatter("%(message)s"))
            handler.addFilter(OwnWords())


def log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Logs a warning as one line. It replaces `warnings.showwarning`."""
    level = logging.INFO if issubclass(category, TIPS) else logging.WARNING
    logging.getLogger("py.warnings").log(level, "Warning: %s (%s:%d)", message, filename, lineno)


def close_bars() -> None:
    """Closes the progress bars of an interrupted training. Otherwise, they are drawn again after the last message."""
    for bar in open_bars():
        bar.close()


class PhaseProgressBar(TQDMProgressBar):
    """Lightning's progress bar. It also says what is trained, and counts epochs from one.

    Args:
        phase: `teacher` or `student`.
    """

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        of = f" of {trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self.train_progress_bar.set_description(f"{self.phase.capitalize()}, epoch {trainer.current_epoch + 1}{of}")
