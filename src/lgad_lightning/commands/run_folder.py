"""The folder of a run of `lgad-fit`: one run's, and nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from lgad_lightning.errors import LgadError

CONTENTS = (
    ".hydra", "candidates.json", "config.yaml", "metrics.json", "pictures", "predictions", "report.html", "student",
    "teacher", "tested.json",
)  # fmt: skip
"""What a run writes into its folder, beside Hydra's log."""


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Keeps a folder for this run while the block lasts. In a training of several processes the first does so for all.

    Args:
        folder: The run's folder, which exists.
        resume: Whether the run that is there goes on.

    Raises:
        LgadError: If another run is at work in the folder; or, unless resuming, if it holds anything that a run writes.
    """
    if getattr(rank_zero_only, "rank", None):
        yield
        return
    lock = FileLock(folder / ".lgad-fit.lock")
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
def save_configuration(cfg: DictConfig) -> None:
    """Writes the run's configuration: resolved to `config.yaml`, for people; as composed to `.hydra/`, to resume from.

    Hydra itself would write `.hydra/` before anybody has looked whether another run's is there. It appears when it is
    whole: from then on the run can be resumed.

    Args:
        cfg: The composed configuration.
    """
    folder = Path(cfg.run_dir)
    if not (folder / ".hydra").exists():  # a resumed run keeps its own
        part = folder / ".hydra.part"
        part.mkdir(exist_ok=True)
        OmegaConf.save(cfg, part / "config.yaml")
        OmegaConf.save(OmegaConf.create({"hydra": HydraConfig.get()}), part / "hydra.yaml")
        OmegaConf.save(HydraConfig.get().overrides.task, part / "overrides.yaml")
        part.rename(folder / ".hydra")
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
