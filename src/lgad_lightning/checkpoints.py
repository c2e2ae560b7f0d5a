"""Writes checkpoint files so that they are never half written."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from typing_extensions import override

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import whole_file


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints like Lightning, but keeps the old file if writing fails.

    Lightning writes to the system's temporary folder and then copies the file. If the disk is full, or the process is
    killed, an incomplete file is left. Addresses such as `s3://...` are written by Lightning as usual.

    Example:
        >>> import lightning as L
        >>> trainer = L.Trainer(plugins=[WholeCheckpointIO()], logger=False)
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        try:
            with whole_file(Path(path)) as part:
                torch.save(checkpoint, part)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError if the disk is full
            raise LgadError(
                f"The checkpoint {path} cannot be written: {error}. Earlier checkpoints are kept. Free some space, or "
                "give a folder that you may write to, and resume."
            ) from error
