"""The two stages of `lgad-fit`: first the teacher, then the student that it teaches."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from lgad_lightning.callbacks import FeatureDistillation
from lgad_lightning.commands.build import build_module, build_trainer, refuse_no_batches
from lgad_lightning.commands.figures import main_figure
from lgad_lightning.commands.outputs import json_bytes, write_output
from lgad_lightning.commands.requeue import CHECKPOINT
from lgad_lightning.commands.run_log import LOG, rewind
from lgad_lightning.commands.run_page import leave_page
from lgad_lightning.commands.student_report import next_command, origin, report
from lgad_lightning.commands.teacher_cache import cached_teacher
from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import first_answer
from lgad_lightning.longwork.whole_file import copy_whole
from lgad_lightning.modules import LaneModule, LaneStudent, LaneTeacher, begin_with
from lgad_lightning.modules.teacher import load_weights
from lgad_lightning.modules.weights import read_checkpoint

log = logging.getLogger(__name__)

CACHE_NAME = "cache.txt"
"""A file in the teacher's folder: the name in the cache when its training began."""


class Teacher(NamedTuple):
    """A teacher that is not trained yet, or that has the weights of `teacher.checkpoint`."""

    module: LaneTeacher
    trainer: L.Trainer
    settings: dict[str, Any]


def build_teacher(settings: dict[str, Any]) -> Teacher:
    """Builds the teacher and what trains it, and loads the weights of `teacher.checkpoint`."""
    module, trainer = build_module(settings, "teacher"), build_trainer(settings, [])
    if (checkpoint := settings["teacher"]["checkpoint"]) is not None:
        load_weights(module, checkpoint)
        log.info("Teacher: weights loaded from %s.", checkpoint)
    else:
        refuse_no_batches(trainer, "train")
        if 0 in (trainer.max_epochs, trainer.max_steps):
            raise LgadError(
                "A teacher that is not trained teaches nothing: give teacher.trainer.max_epochs=1 or more, or"
                " teacher.checkpoint=PATH."
            )
    return Teacher(module, trainer, settings)


def build_student(settings: dict[str, Any]) -> LaneStudent:
    """Builds the student, and gives it the weights of `student.checkpoint`."""
    student: LaneStudent = build_module(settings, "student")
    if (checkpoint := settings["student"]["checkpoint"]) is not None:
        new = begin_with(student, checkpoint)
        rest = f", without {', '.join(new)}, which begin anew" if new else ""
        log.info("Student: begins with the weights of %s%s.", checkpoint, rest)
    return student


def fit_teacher(teacher: Teacher, data: LaneDataModule, resume: bool) -> float:
    """Trains the teacher alone and reports its mean lane IoU on the validation split."""
    obtain_teacher(teacher, data, resume)
    module, trainer, settings = teacher
    iou = float(trainer.validate(module, data, verbose=False)[0]["val/iou"])
    if trainer.is_global_zero:
        checkpoint = settings["teacher"]["checkpoint"] or "teacher/checkpoints/last.ckpt"
        results = {"total": {"iou": iou}, "scenarios": {}} | origin(data, checkpoint)
        write_output(Path(settings["run_dir"], "metrics.json"), json_bytes(results))
        log.info("The teacher's mean lane IoU on the validation split: %.4f.", iou)
        log.info("It is %s.", settings["teacher"]["checkpoint"] or Path(settings["run_dir"], checkpoint))
        if settings["report"]:
            leave_page(Path(settings["run_dir"]), data)
    return iou


def obtain_teacher(teacher: Teacher, data: LaneDataModule, resume: bool) -> None:
    """Loads the teacher's weights from the cache, or trains it now. Does nothing if it was given weights."""
    module, trainer, settings = teacher
    if settings["teacher"]["checkpoint"] is not None:
        return
    cached = cached_teacher(settings, data.identity)
    folder = Path(settings["run_dir"], "teacher")
    kept = folder / "checkpoints" / "last.ckpt"
    if cached is not None and first_answer(trainer, lambda: taken_over(cached, kept, module)):
        load_weights(module, kept)
        return
    if settings["stage"] == "student":
        raise LgadError(
            "stage=student needs a trained teacher, and the cache holds none that this configuration trained. Set "
            "teacher.checkpoint=PATH, run stage=teacher first, or train without a teacher: distillation=none."
        )
    log.info("Stage 1 of 2: training the teacher (%s) for %s.", describe_module(module), describe_length(trainer))
    begun = resume_point(folder, ["last.ckpt"]) if resume else None
    if cached is not None and trainer.is_global_zero and begun is None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CACHE_NAME).write_text(cached.name)
    trainer.fit(module, data, ckpt_path=begun)
    drop_requeued(trainer, folder)
    if cached is not None and trainer.is_global_zero and kept.is_file():
        keep_for_others(kept, cached, folder / CACHE_NAME)


def taken_over(cached: Path, kept: Path, module: LaneTeacher) -> bool:
    """Copies a teacher from the cache to the run, where all processes find it. False if there is none that fits."""
    if not cached.is_file():
        return False
    try:
        load_weights(module, cached)
    except LgadError as error:
        log.warning("The teacher that was kept cannot be used: %s", error)
        return False
    log.info("Stage 1 of 2: this configuration has trained its teacher before; reused from %s.", cached)
    copy_whole(cached, kept)
    return True


def keep_for_others(checkpoint: Path, cached: Path, begun_as: Path) -> None:
    """Copies a trained teacher to the cache, unless it would have had another name there when its training began.

    Args:
        checkpoint: The teacher.
        cached: Its place in the cache.
        begun_as: The file with the name of this place at that time. Runs of earlier versions have none.
    """
    if begun_as.is_file() and begun_as.read_text() != cached.name:
        log.warning("The teacher is not kept for other runs: it was begun with other data or code.")
        return
    try:
        copy_whole(checkpoint, cached)
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
    folder = Path(settings["run_dir"], "student")
    under = " and ".join(f"{type(callback).__name__}, weight {callback.weight:g}" for callback in distillation)
    log.info(
        "Stage 2 of 2: training the student (%s) for %s, %s.",
        describe_module(student),
        describe_length(trainer),
        f"distilled by {under}" if under else "without distillation",
    )
    trainer.fit(student, data, ckpt_path=resume_point(folder, ["last.ckpt", "best.ckpt"]) if resume else None)
    drop_requeued(trainer, folder)
    best = kept_checkpoint(trainer, settings["monitor"])
    log.info("Test: the weights of the best %s, %s.", settings["monitor"], best or "the last ones")
    trainer.test(student, data, ckpt_path=best or None, verbose=False)
    if trainer.is_global_zero:
        run_dir = Path(settings["run_dir"])
        report(student, data, trainer, distillation, run_dir, within(best, run_dir) if best else None)
        if settings["report"]:
            leave_page(run_dir, data, student.metric)
        log.info("Next: %s", next_command(run_dir, distillation))
    return main_figure(student.test_results["total"])


def resume_point(phase: Path, names: Sequence[str]) -> Path | None:
    """Finds the checkpoint from which a phase continues. Removes what was logged after it.

    Args:
        phase: The phase's folder.
        names: Its checkpoints. Damaged ones are skipped with a warning. Of equally new ones, the first is taken. The
            checkpoint that was saved when Slurm queued the job again comes after all of these.

    Returns:
        The checkpoint. None if none can be read: then the phase begins again.
    """
    newest, last = None, -1
    for path in (*(phase / "checkpoints" / name for name in names), phase / CHECKPOINT):
        if not path.is_file():
            continue
        try:
            step = read_checkpoint(path)["global_step"]
        except (LgadError, KeyError):
            log.warning("The checkpoint %s is damaged and passed over.", path)
        else:
            newest, last = (path, step) if step > last else (newest, last)
    rank_zero_only(rewind)(phase / LOG, max(last, 0))
    return newest


def drop_requeued(trainer: L.Trainer, phase: Path) -> None:
    """Removes the checkpoint that a finished training had saved when Slurm queued its job again."""
    if trainer.is_global_zero:
        (phase / CHECKPOINT).unlink(missing_ok=True)


def kept_checkpoint(trainer: L.Trainer, monitor: str) -> str:
    """The checkpoint that a trainer kept by a monitored figure. Empty if it kept none."""
    callbacks = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return next((callback.best_model_path for callback in callbacks if callback.monitor == monitor), "")


def within(path: str, folder: Path) -> str:
    """The path of a file as it is in a folder. Both may be links. The path itself if it is elsewhere."""
    inner, root = Path(path).parent.resolve() / Path(path).name, folder.resolve()
    return inner.relative_to(root).as_posix() if inner.is_relative_to(root) else path


def describe_module(module: LaneModule) -> str:
    """The network and its size."""
    size = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    return f"{type(module.network).__name__}, {size:.2f} M parameters"


def describe_length(trainer: L.Trainer) -> str:
    """How long a trainer trains."""
    epochs = trainer.max_epochs
    if epochs is None or epochs < 0:
        return f"{trainer.max_steps:,} steps"
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"
