"""Loggers of trackers. A run never fails or waits long because of them."""

import logging
import os
import socket
from collections.abc import Callable
from functools import cache
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger
from typing_extensions import override

from lgad_lightning.commands.command_line import SWEEP
from lgad_lightning.commands.mistakes import describe

log = logging.getLogger(__name__)

PATIENCE = 30
"""Seconds that a run waits for a tracker, at its start and at its end."""


class NeverFails(Logger):
    """A mixin for loggers. After its first error, a logger prints one line and logs nothing more."""

    given_up = False

    def attempt(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Calls something, unless an earlier call has failed.

        Args:
            action: The function to call.
            arguments: Its arguments.
        """
        if self.given_up:
            return
        try:
            action(*arguments)
        except Exception as error:
            self.given_up = True
            name = type(self).__name__
            log.warning("%s logs nothing more of this run, which goes on: %s", name, describe(error))
            log.debug("%s:", name, exc_info=True)

    @override
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.attempt(super().log_metrics, metrics, step)  # type: ignore[safe-super]

    @override
    def log_hyperparams(self, params: Any, *args: Any) -> None:
        self.attempt(super().log_hyperparams, params, *args)  # type: ignore[safe-super]

    @override
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        self.attempt(super().after_save_checkpoint, checkpoint_callback)

    @override
    def finalize(self, status: str = "success") -> None:
        self.attempt(super().finalize, status)


class Wandb(NeverFails, WandbLogger):
    """Weights & Biases. A run that cannot start online is kept offline."""

    @property
    @override
    def experiment(self) -> Any:
        try:
            return super().experiment
        except Exception as error:
            if self._offline:
                raise
            say_offline(f"cannot be used ({describe(error)})", Path(self.save_dir or ".").parent)
            self._offline = True
            return super().experiment


class MLFlow(NeverFails, MLFlowLogger):
    """MLflow."""


def wandb_logger(
    save_dir: str | Path = ".", offline: bool | None = None, group: str | None = None, **kwargs: Any
) -> WandbLogger:
    """Makes a Weights & Biases logger that works without an account.

    Args:
        save_dir: Folder for wandb's files.
        offline: Whether to keep everything in `save_dir` (`wandb sync` uploads it later). None: offline if no API key
            is configured, because wandb would ask for one, or if its server cannot be reached. Then `log_model` has no
            effect.
        group: The group that the run belongs to. None: the sweep's folder, for jobs of a sweep.
        kwargs: Further arguments of `lightning.pytorch.loggers.WandbLogger`, and of `wandb.init`.

    Returns:
        The logger. By default, it uploads no images and no checkpoints.
    """
    import wandb

    folder = Path(save_dir)
    if offline is None:
        offline = _stays_offline(folder.parent)
        if offline:
            kwargs.pop("log_model", None)  # Lightning refuses to keep checkpoints for an upload
    folder.mkdir(parents=True, exist_ok=True)
    times = {"init_timeout": PATIENCE, "finish_timeout": PATIENCE}
    known: dict[str, Any] = {name: time for name, time in times.items() if name in wandb.Settings.model_fields}
    settings = {"settings": wandb.Settings(**known)} | kwargs
    return Wandb(save_dir=save_dir, offline=offline, group=group or sweep_name(folder), **settings)


def mlflow_logger(**kwargs: Any) -> MLFlowLogger:
    """Makes an MLflow logger that does not wait for minutes if the server does not answer.

    Args:
        kwargs: Arguments of `lightning.pytorch.loggers.MLFlowLogger`.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE))
    return MLFlow(**kwargs)


def sweep_name(phase: Path) -> str | None:
    """The name of the sweep that a run belongs to. None for other runs.

    Args:
        phase: The folder of a phase of the run.
    """
    sweep = phase.absolute().parent.parent
    return "/".join(sweep.parts[-2:]) if (sweep / SWEEP).is_file() else None


def has_wandb_key() -> bool:
    """Whether an API key is configured, in the environment or by `wandb login` (which writes the netrc file)."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc(os.environ.get("NETRC")).authenticators(_server().hostname or "") is not None
    except (OSError, NetrcParseError):
        return False


def is_reachable(address: str) -> bool:
    """Whether a server, or the proxy that leads to it, answers within three seconds.

    Args:
        address: Its URL.
    """
    scheme = urlsplit(address).scheme
    url = urlsplit(getproxies().get(scheme, address))
    try:
        with socket.create_connection((url.hostname, url.port or (443 if url.scheme == "https" else 80)), timeout=3):
            return True
    except OSError:
        return False


@cache
def say_offline(reason: str, folder: Path) -> None:
    """Says that wandb stays offline, once for a run, although each of its phases has a logger.

    Args:
        reason: The reason.
        folder: The run's folder.
    """
    log.info("wandb: %s, so the run is kept offline in %s (upload: wandb sync).", reason, folder)


def _stays_offline(run_dir: Path) -> bool:
    reason = ""
    if os.environ.get("WANDB_MODE") == "disabled":
        return False  # wandb then keeps nothing at all
    if not has_wandb_key():
        reason = "no API key is configured"
    elif "WANDB_MODE" not in os.environ and not is_reachable(_server().geturl()):
        reason = f"{_server().hostname} cannot be reached"
    if reason and "WANDB_MODE" not in os.environ:
        say_offline(reason, run_dir)
    return bool(reason)


def _server() -> Any:
    return urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
