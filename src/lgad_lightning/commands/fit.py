"""`lgad-fit`: trains a teacher on label maps, distils a student, and tests it. Hydra composes its configuration."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import MISSING, DictConfig, OmegaConf

from lgad_lightning.commands.build import (
    FitSettings,
    build_trainer,
    check_monitor,
    refuse_no_batches,
    resolve,
)
from lgad_lightning.commands.cluster import cluster_arguments
from lgad_lightning.commands.command_line import as_given, check_added, explain, resume_arguments
from lgad_lightning.commands.configs import CONFIG, CONFIG_DIR
from lgad_lightning.commands.console import lasting_output
from lgad_lightning.commands.figures import main_figure
from lgad_lightning.commands.mistakes import INTERRUPTED, describe, environment_variable, resume_command
from lgad_lightning.commands.nodes import build
from lgad_lightning.commands.requeue import heeding_slurm
from lgad_lightning.commands.run_folder import claimed, save_configuration
from lgad_lightning.commands.stages import build_student, build_teacher, fit_student, fit_teacher, obtain_teacher
from lgad_lightning.commands.sweep import earlier_job, write_failure
from lgad_lightning.commands.terminal import close_bars, speak_plainly
from lgad_lightning.commands.trial import TrialPruned, trial_callbacks
from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.dataset import collate
from lgad_lightning.data.source import Split
from lgad_lightning.errors import LgadError
from lgad_lightning.modules import LaneModule

log = logging.getLogger(__name__)

WORDS: dict[Split, str] = {"train": "training", "val": "validation", "test": "test"}


def main() -> None:
    """The console script. `resume=RUN_DIR` makes this folder Hydra's run folder. Hydra reads everything else.

    The environment variable `HYDRA_FULL_ERROR=1` shows errors with their traceback, as it does for Hydra.
    """
    logging.raiseExceptions = False  # on a full disk, only the line of the log is lost
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        sys.argv[1:] = resume_arguments(cluster_arguments(sys.argv[1:]))
        ours = environment_variable("HYDRA_FULL_ERROR", "1")  # else Hydra prints the error itself
        with lasting_output(), heeding_slurm(), ours:
            run()
    except KeyboardInterrupt:
        print("lgad-fit: interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if full_error and end.__cause__ is not None:
            raise end.__cause__ from None
        raise
    except Exception as error:
        if full_error:
            raise
        sys.exit(f"lgad-fit: {error if isinstance(error, LgadError) else explain(error, sys.argv[1:])}")


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=CONFIG)
def run(cfg: DictConfig) -> float:
    """Hydra's task: runs `fit` and turns all of its errors into a message. A sweep continues after an error."""
    try:
        speak_plainly()
        with environment_variable("HYDRA_FULL_ERROR", None), tidied():  # the processes of a ddp training inherit it
            return fit(cfg)
    except TrialPruned as end:
        log.info("The trial in %s was %s.", cfg.run_dir, end)
        write_failure(Path(cfg.run_dir), given_overrides(), str(end))
        return float("nan")
    except Exception as error:
        message = str(error) if isinstance(error, LgadError) else unforeseen(error, cfg)
        if not is_sweep():
            raise SystemExit(f"lgad-fit: {message}") from error  # Hydra has nothing to say about this one
        print(f"lgad-fit: {message}", file=sys.stderr)
        write_failure(Path(cfg.run_dir), given_overrides(), message)
        return float("nan")
    except (KeyboardInterrupt, SystemExit) as stop:  # the trainer turns the first into the second
        end_early(stop, cfg)


def given_overrides() -> list[str]:
    """The overrides that this run or job was started with."""
    return as_given(HydraConfig.get().overrides.task)


def is_sweep() -> bool:
    """Whether this is a job of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


@contextmanager
def tidied() -> Iterator[None]:
    """Always ends progress bars and wandb's run, because they would print something after the last message."""
    try:
        yield
    finally:
        close_bars()
        finish_wandb()


def unforeseen(error: Exception, cfg: DictConfig) -> str:
    """Makes a message for an unexpected error. It says where the traceback is and how to continue."""
    log_file = Path(HydraConfig.get().runtime.output_dir, f"{HydraConfig.get().job.name}.log")
    return f"{describe(error)}\nThe traceback is in {log_file}.{resume_hint(cfg)}"


def end_early(stop: KeyboardInterrupt | SystemExit, cfg: DictConfig) -> NoReturn:
    """Ends after Ctrl-C or SIGTERM. If there is a run to continue, says how."""
    if isinstance(stop, SIGTERMException):
        code = 143
    elif isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt):
        code = INTERRUPTED
    else:
        raise stop
    if not getattr(rank_zero_only, "rank", None):
        log.info("Interrupted.%s", resume_hint(cfg) or " No run was begun; what was made of data is kept.")
    sys.exit(code)


def resume_hint(cfg: DictConfig) -> str:
    """Says how to continue the run or its sweep, if there is one."""
    if is_sweep():
        return f" To go on: {resume_command(Path(HydraConfig.get().sweep.dir).absolute())}"
    begun = (Path(cfg.run_dir) / ".hydra" / "config.yaml").is_file()
    return f" To go on: {resume_command(Path(cfg.run_dir))}" if begun else ""


def fit(cfg: DictConfig) -> float:
    """Runs the stages that the configuration asks for.

    Args:
        cfg: The composed configuration, `conf/fit.yaml`.

    Returns:
        The student's total F1 on the test split (TuSimple: accuracy); for `stage=teacher` the teacher's mean lane IoU
        on the validation split.

    Raises:
        LgadError: If the configuration or the data cannot be used.
    """
    check_added(given_overrides(), cfg, FitSettings.__annotations__)
    resume = cfg.resume is not None
    if is_sweep():
        earlier = earlier_job(Path(cfg.run_dir), given_overrides())
        if earlier:
            log.info("The job in %s is complete: skipped.", cfg.run_dir)
            return main_figure(earlier)
        resume = earlier is not None
    if resume:
        cfg = saved_configuration(Path(cfg.resume or cfg.run_dir))
    check_apart(cfg)
    with claimed(Path(cfg.run_dir), resume):
        if resume:
            log.info("Resuming the run in %s.", cfg.run_dir)
        try:
            return fit_stages(cfg, resume)
        except Exception:
            log.debug("The run ends here.", exc_info=True)  # only to the log file
            raise


def check_apart(cfg: DictConfig) -> None:
    """Checks that the run does not write into the folder of its data, where its pictures could become images."""
    root = OmegaConf.select(cfg, "data.root", throw_on_resolution_failure=False)
    if isinstance(root, str) and Path(root).expanduser().resolve() == Path(cfg.run_dir).resolve():
        raise LgadError(f"{root} is the folder of the data, and would be that of the run: give a new hydra.run.dir.")


def saved_configuration(run_dir: Path) -> DictConfig:
    """Reads the configuration of a run. Changes to the folder where the run was started, for its relative paths."""
    saved_by_hydra = run_dir / ".hydra"
    try:
        cfg = DictConfig(OmegaConf.load(saved_by_hydra / "config.yaml"))
        started_in = Path(OmegaConf.load(saved_by_hydra / "hydra.yaml").hydra.runtime.cwd)
    except Exception as error:
        raise LgadError(f"The configuration in {saved_by_hydra} cannot be read: {describe(error)}") from error
    cfg.setdefault("report", True)  # runs of earlier versions do not have these
    cfg.student.setdefault("checkpoint", None)
    if started_in.is_dir():
        os.chdir(started_in)
    return cfg


def fit_stages(cfg: DictConfig, resume: bool) -> float:
    """Builds all that the stages need first, so that a mistake shows at once. Then runs the stages."""
    settings = resolve(cfg, "student")
    data: LaneDataModule = build("data", settings["data"])
    distillation = settings["distillation"] or {}
    wanted = cfg.stage == "teacher" or distillation.get("teacher") == MISSING  # `teacher: ???`
    teacher = build_teacher(resolve(cfg, "teacher")) if wanted else None
    if teacher is not None and isinstance(teacher.module, LaneModule):
        teacher.module.check_classes(data.num_classes)
    if teacher is not None and cfg.stage == "teacher":
        refuse_no_batches(teacher.trainer, "val")
        look_at_data(data)
        save_configuration(cfg, data.identity)
        log.info("Data: %s.", describe_data(data))
        return fit_teacher(teacher, data, resume)

    L.seed_everything(settings["seed"], workers=True, verbose=False)
    objects = {} if teacher is None else {"teacher": teacher.module}
    callbacks = [build("distillation", distillation, **objects)] if distillation else []
    student = build_student(settings)
    for callback in callbacks:
        callback.check_layers(student)
    check_monitor(settings["monitor"], student, data)
    student.check_classes(data.num_classes)
    trainer = build_trainer(settings, [*callbacks, *trial_callbacks(settings["monitor"])])
    refuse_no_batches(trainer, "train", "test")
    look_at_data(data)
    save_configuration(cfg, data.identity)
    log.info("Data: %s.", describe_data(data))
    if teacher is not None:
        obtain_teacher(teacher, data, resume)
        finish_wandb()
    return fit_student(student, trainer, settings, data, callbacks, resume)


def describe_data(data: LaneDataModule) -> str:
    """Where the images are and how many."""
    counts = ", ".join(f"{len(data.open(split)):,} for {word}" for split, word in WORDS.items())
    return f"{data.url or data.root} ({type(data).__name__}), images: {counts}"


def look_at_data(data: LaneDataModule) -> None:
    """Prepares the data and reads its first image, before anything is trained.

    If several processes were started at once, each does this. One makes what is missing, and the others wait for it.
    """
    data.prepare_data()
    if data.on_error == "raise":
        data.setup("fit")
        dataset = data.datasets["train"]
        dataset.report(collate([dataset[0]])["failures"])


def finish_wandb() -> None:
    """Ends wandb's run, if there is one. Otherwise, the next phase or the next job of a sweep would continue in it."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()


if __name__ == "__main__":  # Lightning starts the other processes of `python -m lgad_lightning` this way
    main()
