"""`lgad-fit`: trains a teacher on label maps, distils a student, tests it. Composed by Hydra."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import hydra
import lightning as L
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import MISSING, DictConfig, OmegaConf

from lgad_lightning.callbacks import FeatureDistillation, draw_batch
from lgad_lightning.checkpoints import is_whole
from lgad_lightning.commands.configs import CONFIG_DIR
from lgad_lightning.commands.report import print_results, write_json
from lgad_lightning.commands.run_folder import claimed, save_configuration
from lgad_lightning.commands.sweep import write_failure
from lgad_lightning.commands.teacher_cache import cached_teacher
from lgad_lightning.data import LaneBatch, LaneDataModule
from lgad_lightning.data.dataset import collate
from lgad_lightning.drawing import write_picture
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import copy_whole
from lgad_lightning.modules import LaneStudent, LaneTeacher
from lgad_lightning.modules.teacher import load_weights

log = logging.getLogger(__name__)


def main() -> None:
    """The console script: `resume=RUN_DIR` makes that folder Hydra's run folder, everything else is Hydra's."""
    try:
        sys.argv[1:] = resume_arguments(sys.argv[1:])
    except LgadError as error:
        sys.exit(f"lgad-fit: {error}")
    run()


def resume_arguments(arguments: list[str]) -> list[str]:
    """Points Hydra at the folder of the run to resume.

    Args:
        arguments: The command line's arguments.

    Returns:
        The arguments to give Hydra.

    Raises:
        LgadError: If the folder is no run of `lgad-fit`, or other overrides are given beside `resume`.
    """
    folders = [argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return arguments
    folder = Path(folders[-1].strip("'\"")).expanduser().resolve()
    if not (folder / ".hydra" / "config.yaml").is_file():
        raise LgadError(f"resume={folder} is no run folder of lgad-fit: it holds no .hydra/config.yaml.")
    others = [argument for argument in arguments if not argument.startswith(("resume=", "hydra."))]
    if others:
        raise LgadError(
            f"A resumed run keeps its own configuration, so it takes no other override: drop {' '.join(others)}, "
            "or start a new run."
        )
    return [f"resume='{folder}'", f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="fit")
def run(cfg: DictConfig) -> float:
    """Hydra's task: `fit`, with errors that the user can mend told in one message; a sweep goes on after any error."""
    try:
        return fit(cfg)
    except Exception as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        if isinstance(cause, LgadError):
            print(f"lgad-fit: {cause}", file=sys.stderr)
        elif sweep:
            log.exception("This job failed.")
        else:
            raise
        if not sweep:
            sys.exit(1)
        write_failure(Path(cfg.run_dir), HydraConfig.get().overrides.task, cause or error)
        return float("nan")
    except (KeyboardInterrupt, SystemExit):  # the trainer shuts down by the latter
        log.info("Interrupted. To go on: lgad-fit resume=%s", cfg.run_dir)
        raise
    finally:
        finish_wandb()


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
    resume = cfg.resume is not None
    if resume:
        saved_by_hydra = Path(cfg.resume) / ".hydra"
        cfg = DictConfig(OmegaConf.load(saved_by_hydra / "config.yaml"))
        started_in = Path(OmegaConf.load(saved_by_hydra / "hydra.yaml").hydra.runtime.cwd)
        if started_in.is_dir():
            os.chdir(started_in)  # where its relative paths begin
        log.info("Resuming the run in %s.", cfg.run_dir)
    if cfg.stage not in ("all", "teacher", "student"):
        raise LgadError(f"stage={cfg.stage} is unknown: choose all, teacher or student.")
    with claimed(Path(cfg.run_dir), resume):
        return fit_stages(cfg, resume)


def fit_stages(cfg: DictConfig, resume: bool) -> float:
    """Builds all that the stages need, so that a mistake shows at once, and runs them."""
    settings = resolve(cfg, "student")
    data: LaneDataModule = build(settings["data"])
    rank_zero_only(data.prepare_data)()  # tells what is missing before anything is built
    if cfg.stage == "teacher":
        settings = resolve(cfg, "teacher")
        teacher = build_module(settings, "teacher")
        save_configuration(cfg)
        return fit_teacher(teacher, settings, data, resume)

    distillation = settings["distillation"] or {}
    teacher = build_module(settings, "teacher") if distillation.get("teacher") == MISSING else None  # `teacher: ???`
    L.seed_everything(settings["seed"], workers=True, verbose=False)
    callbacks = [build(distillation, **({} if teacher is None else {"teacher": teacher}))] if distillation else []
    student = build_module(settings, "student")
    for callback in callbacks:
        callback.check_layers(student)
    build_callbacks(settings)
    save_configuration(cfg)
    if teacher is not None:
        obtain_teacher(teacher, resolve(cfg, "teacher"), data, resume)
    return fit_student(student, settings, data, callbacks, resume)


def resolve(cfg: DictConfig, phase: str) -> dict[str, Any]:
    """The configuration as plain values, as it is for a phase: `teacher` or `student`."""
    cfg = cfg.copy()
    cfg.phase = phase
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def build(node: Mapping[str, Any], **objects: Any) -> Any:
    """Instantiates a node; `objects` are arguments that are objects already, which Hydra would copy."""
    settings = {key: value for key, value in node.items() if key not in objects}
    return instantiate(settings, _partial_=True, _convert_="all")(**objects)


def build_module(settings: dict[str, Any], phase: str) -> Any:
    """The untrained module of a phase; equal for equal seeds."""
    L.seed_everything(settings["seed"], workers=True, verbose=False)
    network = build(settings["network"] | settings[phase]["network"])
    return build(settings[phase]["module"], network=network)


def fit_teacher(teacher: LaneTeacher, settings: dict[str, Any], data: LaneDataModule, resume: bool) -> float:
    """Trains the teacher alone and reports its mean lane IoU on the validation split."""
    obtain_teacher(teacher, settings, data, resume)
    trainer = build_trainer(settings, [])
    iou = float(trainer.validate(teacher, data, verbose=False)[0]["val/iou"])
    if trainer.is_global_zero:
        checkpoint = settings["teacher"]["checkpoint"] or "teacher/checkpoints/last.ckpt"
        results = {"total": {"iou": iou}, "scenarios": {}} | origin(data, checkpoint)
        write_json(results, Path(settings["run_dir"], "metrics.json"))
        log.info("The teacher's mean lane IoU on the validation split: %.4f.", iou)
        log.info("It is %s.", Path(settings["run_dir"], checkpoint))
    return iou


def obtain_teacher(teacher: LaneTeacher, settings: dict[str, Any], data: LaneDataModule, resume: bool) -> None:
    """Gives the teacher its trained weights: from `teacher.checkpoint`, from the cache, or by training it now."""
    checkpoint = settings["teacher"]["checkpoint"]
    if checkpoint is not None:
        log.info("Teacher: loaded from %s.", checkpoint)
        load_weights(teacher, checkpoint)
        return
    cached = cached_teacher(settings, data.identity)
    kept = Path(settings["run_dir"], "teacher", "checkpoints", "last.ckpt")
    if cached is not None and is_whole(cached):
        log.info("Teacher: this configuration has trained it before; reused from %s.", cached)
        load_weights(teacher, cached)
        rank_zero_only(copy_whole)(cached, kept)
        return
    if settings["stage"] == "student":
        raise LgadError(
            "stage=student needs a trained teacher, and the cache holds none that this configuration trained. Set "
            "teacher.checkpoint=PATH, run stage=teacher first, or train without a teacher: distillation=none."
        )
    trainer = build_trainer(settings, [])
    trainer.fit(teacher, data, ckpt_path=newest([kept]) if resume else None)
    if cached is not None and trainer.is_global_zero and (last := saved(trainer, None)):
        try:
            copy_whole(Path(last), cached)
        except OSError as error:
            log.warning("The teacher is not kept for other runs: %s (teacher.cache_dir).", error)


def fit_student(
    student: LaneStudent,
    settings: dict[str, Any],
    data: LaneDataModule,
    distillation: list[FeatureDistillation],
    resume: bool,
) -> float:
    """Trains the student, tests its best weights and reports."""
    trainer = build_trainer(settings, distillation)
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


def build_callbacks(settings: dict[str, Any]) -> list[L.Callback]:
    """The configured callbacks of a phase."""
    configured = settings[settings["phase"]]["callbacks"] | settings["callbacks"]  # `last` holds the state of `best`
    return [build(node) for node in configured.values() if node]


def build_trainer(settings: dict[str, Any], callbacks: list[FeatureDistillation]) -> L.Trainer:
    """The trainer of a phase: `trainer` with the phase's own settings over it."""
    finish_wandb()
    trainer: L.Trainer = build(
        settings["trainer"] | settings[settings["phase"]]["trainer"],
        callbacks=build_callbacks(settings) + callbacks,
        logger=[build(node) for node in settings["logger"].values()],
    )
    launcher = trainer.strategy.launcher
    if HydraConfig.get().mode == RunMode.MULTIRUN and launcher is not None and not launcher.is_interactive_compatible:
        raise LgadError(
            "A sweep (-m) cannot start trainer.strategy=ddp, whose processes would each run the whole sweep again. Use "
            "trainer.strategy=ddp_spawn, or one process a job under a Hydra launcher."
        )
    return trainer


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


def report(
    student: LaneStudent,
    data: LaneDataModule,
    trainer: L.Trainer,
    distillation: list[FeatureDistillation],
    run_dir: Path,
    checkpoint: str | None,
) -> None:
    """Prints the student's test figures, writes them to `metrics.json`, and draws a few test frames."""
    logged = trainer.callback_metrics
    pixels = {name: float(logged[f"test/{name}"]) for name in ("iou", "existence_accuracy") if f"test/{name}" in logged}
    results = student.test_results | {"pixels": pixels} | origin(data, checkpoint)
    write_json(results, run_dir / "metrics.json")
    print_results(results)
    frames = frames_to_draw(data, count=6, device=student.device)
    write_picture(run_dir / "pictures" / "test.png", draw_batch(student, frames, distillation, count=6))
    log.info("Figures, predictions, pictures and checkpoints are in %s.", run_dir)


def origin(data: LaneDataModule, checkpoint: str | None) -> dict[str, Any]:
    """What the figures in `metrics.json` belong to; paths are those within the run's folder."""
    root = data.url or str(data.root.resolve())
    return {"configuration": "config.yaml", "checkpoint": checkpoint, "data": {"root": root, "identity": data.identity}}


def frames_to_draw(data: LaneDataModule, count: int, device: torch.device) -> LaneBatch:
    """A batch of test frames from all over the split."""
    dataset = data.datasets["test"]
    numbers = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    batch = move_data_to_device(collate([dataset[number] for number in numbers]), device)
    return data.on_after_batch_transfer(batch, 0)
