"""The folder of a run of `lgad-fit`. It belongs to one run only."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from lgad_lightning.data.find_files import RUN
from lgad_lightning.errors import LgadError

log = logging.getLogger(__name__)

CONTENTS = (
    ".hydra", "candidates.json", "config.yaml", "metrics.json", "pictures", "predictions", "report.html", "student",
    "teacher", "tested.json",
)  # fmt: skip
"""What a run writes into its folder, in addition to Hydra's log."""

_DATA = "data.txt"


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Keeps a folder for this run within the block. If there are several processes, the first does this for all.

    Args:
        folder: The run's folder. It must exist.
        resume: Whether the run that is there is continued.

    Raises:
        LgadError: If another run works in the folder, or if `resume` is false and the folder holds anything that a run
            writes.
    """
    if getattr(rank_zero_only, "rank", None):
        yield
        return
    lock = FileLock(folder / RUN)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LgadError(f"Another lgad-fit is at work in {folder}: give a new hydra.run.dir, or wait.") from error
    except OSError as error:
        raise LgadError(f"The run's folder {folder} cannot be written: {error}; give a new hydra.run.dir.") from error
    try:
        found = [name for name in CONTENTS if (folder / name).exists()]
        if found and not resume:
            raise LgadError(
                f"{folder} holds a run already, or files of other use ({', '.join(found)}), which would be mixed with "
                f"this one's: give a new hydra.run.dir, or go on with the run there: lgad-fit resume='{folder}'."
            )
        yield
    finally:
        lock.release()


@rank_zero_only
def save_configuration(cfg: DictConfig, data: str) -> None:
    """Writes the run's configuration: resolved to `config.yaml` for people, and as composed to `.hydra/` for resuming.

    Hydra itself would write `.hydra/` before the check for another run in the folder. The folder `.hydra/` appears when
    it is complete. From then on, the run can be resumed. If its data are then others, a warning says so.

    Args:
        cfg: The composed configuration.
        data: The identity of the data.
    """
    folder = Path(cfg.run_dir)
    if (folder / ".hydra").exists():  # a resumed run keeps its own
        begun_with = folder / ".hydra" / _DATA
        if begun_with.is_file() and begun_with.read_text(encoding="utf-8") != data:
            log.warning("The images or annotations have changed since this run began: its student belongs to both.")
        for change in _changes(folder, cfg):
            log.warning("Since this run began, %s (it comes from outside of the configuration).", change)
    else:
        part = folder / ".hydra.part"
        part.mkdir(exist_ok=True)
        (part / _DATA).write_text(data, encoding="utf-8")
        OmegaConf.save(cfg, part / "config.yaml")
        OmegaConf.save(OmegaConf.create({"hydra": HydraConfig.get()}), part / "hydra.yaml")
        OmegaConf.save(HydraConfig.get().overrides.task, part / "overrides.yaml")
        part.rename(folder / ".hydra")
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)


def _changes(folder: Path, cfg: DictConfig) -> list[str]:
    """What a configuration resolves to now, and not when the run began: `${oc.env:...}` of another environment."""
    try:
        before = _values(OmegaConf.load(folder / "config.yaml"))
    except (OSError, YAMLError):
        return []
    now = _values(cfg)
    changed = (key for key in before if key in now and before[key] != now[key])
    return [f"{key} has changed from {before[key]} to {now[key]}" for key in changed]


def _values(cfg: Any) -> dict[str, Any]:
    """The resolved values of a configuration by their keys. The run's own folder, which may be moved, is left out."""
    folder = str(cfg.get("run_dir"))
    flat: dict[str, Any] = {}
    waiting = [("", OmegaConf.to_container(cfg, resolve=True))]
    for key, value in waiting:
        if isinstance(value, dict):
            waiting += [(".".join(filter(None, (key, str(name)))), inner) for name, inner in value.items()]
        elif not (isinstance(value, str) and folder in value):
            flat[key] = value
    return flat
