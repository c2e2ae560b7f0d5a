"""`lgad-fit`: trains a teacher on label maps, distils a student, tests it. Composed by Hydra."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hydra
import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import MISSING, DictConfig, OmegaConf

from lgad_lightning import __version__
from lgad_lightning.callbacks import FeatureDistillation
from lgad_lightning.checkpoints import is_whole
from lgad_lightning.commands.build import build, build_module, build_trainer, check_monitor, resolve
from lgad_lightning.commands.command_line import check_added, explain, resume_arguments
from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.commands.mistakes import INTERRUPTED, describe, environment_variable, resume_command
from lgad_lightning.commands.report import write_json
from lgad_lightning.commands.run_folder import claimed, save_configuration
from lgad_lightning.commands.student_report import origin, report
from lgad_lightning.commands.sweep import write_failure
from lgad_lightning.commands.teacher_cache import cached_teacher
from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.dataset import collate
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import copy_whole
from lgad_lightning.modules import LaneModule, LaneStudent, LaneTeacher
from lgad_lightning.modules.teacher import load_weights

log = logging.getLogger(__name__)


def main() -> None:
    """The console script: `resume=RUN_DIR` makes that folder Hydra's run folder, everything else is Hydra's.

    The environment variable `HYDRA_FULL_ERROR=1` shows errors with their traceback, as it does for Hydra.
    """
    if "--version" in sys.argv[1:]:  # Hydra would say its own
        print(f"lgad-lightning {__version__}")
        return
    logging.raiseExceptions = False  # a log that a full disk does not take costs its line, and nothing else
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        sys.argv[1:] = resume_arguments(sys.argv[1:])
        with environment_variable("HYDRA_FULL_ERROR", "1"):  # else Hydra prints the error itself
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


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="fit")
def run(cfg: DictConfig) -> float:
    """Hydra's task: `fit`, whose errors all become a message; a sweep goes on after them."""
    try:
        with environment_variable("HYDRA_FULL_ERROR", None):  # the processes of a ddp training inherit it
            return fit(cfg)
    except Exception as error:
        message = str(error) if isinstance(error, LgadError) else unforeseen(error, cfg)
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise SystemExit(f"lgad-fit: {message}") from error  # Hydra has nothing to say about this one
        print(f"lgad-fit: {message}", file=sys.stderr)
        write_failure(Path(cfg.run_dir), HydraConfig.get().overrides.task, message)
        return float("nan")
    except (KeyboardInterrupt, SystemExit) as stop:  # the trainer makes the latter of the former
        end_early(stop, cfg)
    finally:
        finish_wandb()


def unforeseen(error: Exception, cfg: DictConfig) -> str:
    """A message for an error that no part of the package knows, with where to look and how to go on."""
    log_file = Path(HydraConfig.get().runtime.output_dir, f"{HydraConfig.get().job.name}.log")
    return f"{describe(error)}\nThe traceback is in {log_file}.{way_on(cfg)}"


def end_early(stop: KeyboardInterrupt | SystemExit, cfg: DictConfig) -> NoReturn:
    """Ends after Ctrl-C or SIGTERM: says how to go on, where there is a run to go on with."""
    if isinstance(stop, SIGTERMException):
        code = 143
    elif isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt):
        code = INTERRUPTED
    else:
        raise stop
    if not getattr(rank_zero_only, "rank", None):
        log.info("Interrupted.%s", way_on(cfg) or " No run was begun; what was made of data is kept.")
    sys.exit(code)


def way_on(cfg: DictConfig) -> str:
    """How to go on with the run, if there is one."""
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
    check_added(HydraConfig.get().overrides.task, cfg)
    resume = cfg.resume is not None
    if resume:
        cfg = saved_configuration(Path(cfg.resume))
        log.info("Resuming the run in %s.", cfg.run_dir)
    with claimed(Path(cfg.run_dir), resume):
        try:
            return fit_stages(cfg, resume)
        except Exception:
            log.debug("The run ends here.", exc_info=True)  # to the log file alone
            raise


def saved_configuration(run_dir: Path) -> DictConfig:
    """The configuration of a run; goes to the folder in which the run was started, where its relative paths begin."""
    saved_by_hydra = run_dir / ".hydra"
    try:
        cfg = DictConfig(OmegaConf.load(saved_by_hydra / "config.yaml"))
        started_in = Path(OmegaConf.load(saved_by_hydra / "hydra.yaml").hydra.runtime.cwd)
    except Exception as error:
        raise LgadError(f"The configuration in {saved_by_hydra} cannot be read: {describe(error)}") from error
    if started_in.is_dir():
        os.chdir(started_in)
    return cfg


def fit_stages(cfg: DictConfig, resume: bool) -> float:
    """Builds all that the stages need, so that a mistake shows at once, and runs them."""
    settings = resolve(cfg, "student")
    data: LaneDataModule = build("data", settings["data"])
    distillation = settings["distillation"] or {}
    wanted = cfg.stage == "teacher" or distillation.get("teacher") == MISSING  # `teacher: ???`
    teacher = build_teacher(resolve(cfg, "teacher")) if wanted else None
    if teacher is not None and isinstance(teacher.module, LaneModule):
        teacher.module.check_classes(data.num_classes)
    if teacher is not None and cfg.stage == "teacher":
        look_at_data(data)
        save_configuration(cfg)
        return fit_teacher(teacher, data, resume)

    L.seed_everything(settings["seed"], workers=True, verbose=False)
    objects = {} if teacher is None else {"teacher": teacher.module}
    callbacks = [build("distillation", distillation, **objects)] if distillation else []
    student = build_module(settings, "student")
    for callback in callbacks:
        callback.check_layers(student)
    check_monitor(settings["monitor"], student)
    student.check_classes(data.num_classes)
    trainer = build_trainer(settings, callbacks)
    look_at_data(data)
    save_configuration(cfg)
    if teacher is not None:
        obtain_teacher(teacher, data, resume)
        finish_wandb()
    return fit_student(student, trainer, settings, data, callbacks, resume)


def look_at_data(data: LaneDataModule) -> None:
    """Makes the data ready, and looks at its first image, before anything is trained."""
    rank_zero_only(data.prepare_data)()
    if data.on_error == "raise":
        data.setup("fit")
        dataset = data.datasets["train"]
        dataset.report(collate([dataset[0]])["failures"])


class Teacher(NamedTuple):
    """A teacher to be trained, or with weights already if `teacher.checkpoint` gives some."""

    module: LaneTeacher
    trainer: L.Trainer
    settings: dict[str, Any]


def build_teacher(settings: dict[str, Any]) -> Teacher:
    """Builds the teacher and what trains it, and loads the weights of `teacher.checkpoint`."""
    module = build_module(settings, "teacher")
    if (checkpoint := settings["teacher"]["checkpoint"]) is not None:
        load_weights(module, checkpoint)
        log.info("Teacher: loaded from %s.", checkpoint)
    return Teacher(module, build_trainer(settings, []), settings)


def fit_teacher(teacher: Teacher, data: LaneDataModule, resume: bool) -> float:
    """Trains the teacher alone and reports its mean lane IoU on the validation split."""
    obtain_teacher(teacher, data, resume)
    module, trainer, settings = teacher
    iou = float(trainer.validate(module, data, verbose=False)[0]["val/iou"])
    if trainer.is_global_zero:
        checkpoint = settings["teacher"]["checkpoint"] or "teacher/checkpoints/last.ckpt"
        results = {"total": {"iou": iou}, "scenarios": {}} | origin(data, checkpoint)
        write_json(results, Path(settings["run_dir"], "metrics.json"))
        log.info("The teacher's mean lane IoU on the validation split: %.4f.", iou)
        log.info("It is %s.", Path(settings["run_dir"], checkpoint))
    return iou


def obtain_teacher(teacher: Teacher, data: LaneDataModule, resume: bool) -> None:
    """Gives the teacher its trained weights, from the cache or by training it now, unless it was given some."""
    module, trainer, settings = teacher
    if settings["teacher"]["checkpoint"] is not None:
        return
    cached = cached_teacher(settings, data.identity)
    kept = Path(settings["run_dir"], "teacher", "checkpoints", "last.ckpt")
    if cached is not None and is_whole(cached):
        load_weights(module, cached)
        log.info("Teacher: this configuration has trained it before; reused from %s.", cached)
        rank_zero_only(copy_whole)(cached, kept)
        return
    if settings["stage"] == "student":
        raise LgadError(
            "stage=student needs a trained teacher, and the cache holds none that this configuration trained. Set "
            "teacher.checkpoint=PATH, run stage=teacher first, or train without a teacher: distillation=none."
        )
    trainer.fit(module, data, ckpt_path=newest([kept]) if resume else None)
    if cached is not None and trainer.is_global_zero and (last := saved(trainer, None)):
        try:
            copy_whole(Path(last), cached)
        except OSError as error:
            log.warning("The teacher is not kept for other runs: %s (teacher.cache_dir).", error)


def fit_student(
    student: LaneStudent,
    trainer: L.Trainer,
    settings: dict[str, Any],
    data: LaneDataModule,
    distillation: list[FeatureDistillation],
    resume: bool,
) -> float:
    """Trains the student, tests its best weights and reports."""
    folder = Path(settings["run_dir"], "student", "checkpoints")
    trainer.fit(student, data, ckpt_path=newest([folder / "last.ckpt", folder / "best.ckpt"]) if resume else None)
    best = saved(trainer, settings["monitor"])
    trainer.test(student, data, ckpt_path=best or None, verbose=False)
    if trainer.is_global_zero:
        run_dir = Path(settings["run_dir"])
        checkpoint = Path(best).relative_to(run_dir).as_posix() if best else None
        report(student, data, trainer, distillation, run_dir, checkpoint)
    total = student.test_results["total"]
    return float(total["f1"] if "f1" in total else total["accuracy"])


def finish_wandb() -> None:
    """Ends wandb's run, if there is one, which the next phase or the next job of a sweep would go on in."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()


def newest(checkpoints: Sequence[Path]) -> Path | None:
    """The first of these checkpoints that can be read, with a line about those that cannot; None if there is none."""
    for path in filter(Path.is_file, checkpoints):
        if is_whole(path):
            return path
        log.warning("The checkpoint %s is damaged and passed over.", path)
    return None


def saved(trainer: L.Trainer, monitor: str | None) -> str:
    """The checkpoint that a trainer has kept by a monitored figure, or by none; empty if it has kept none."""
    callbacks = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback.best_model_path for callback in callbacks if callback.monitor == monitor), "")


if __name__ == "__main__":  # how Lightning starts the other processes of `python -m lgad_lightning`
    main()
