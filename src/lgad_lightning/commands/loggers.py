import logging
import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

log = logging.getLogger(__name__)


def wandb_logger(save_dir: str | Path = ".", offline: bool | None = None, **kwargs: Any) -> WandbLogger:
    """A Weights & Biases logger that works without an account.

    Args:
        save_dir: Folder for wandb's files.
        offline: Keep everything in `save_dir` (`wandb sync` uploads it later). None: offline where no API key is
            configured, since wandb would otherwise ask for one or wait for the network.
        kwargs: Further arguments of `lightning.pytorch.loggers.WandbLogger`.

    Returns:
        The logger; it uploads no image and no checkpoint unless told to.
    """
    if offline is None:
        offline = not has_wandb_key()
        if offline and "WANDB_MODE" not in os.environ:
            log.info(
                "wandb: no API key is configured, so the run is kept offline in %s (upload: wandb sync).", save_dir
            )
            os.environ["WANDB_MODE"] = "offline"  # told once
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    return WandbLogger(save_dir=save_dir, offline=offline, **kwargs)


def has_wandb_key() -> bool:
    """Whether an API key is configured, in the environment or by `wandb login` (which writes the netrc file)."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
