"""Writes the results of a student's test: figures and a picture."""

import logging
import shlex
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import OmegaConf

from lgad_lightning.callbacks import FeatureDistillation, LabelAttention, LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.sight import see
from lgad_lightning.commands.candidates import find_candidates
from lgad_lightning.commands.command_line import as_given
from lgad_lightning.commands.figures import print_results
from lgad_lightning.commands.outputs import json_bytes, write_output
from lgad_lightning.commands.split_frames import frames_at
from lgad_lightning.commands.tested import tested
from lgad_lightning.commands.trackers import log_test
from lgad_lightning.commands.value_types import parameters
from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.spread import spread
from lgad_lightning.errors import LgadError
from lgad_lightning.modules import LaneStudent
from lgad_lightning.reporting.candidates import CANDIDATES, write_candidates
from lgad_lightning.reporting.tested import TESTED, write_tested

log = logging.getLogger(__name__)


def report(
    student: LaneStudent,
    data: LaneDataModule,
    trainer: L.Trainer,
    distillation: list[FeatureDistillation],
    run_dir: Path,
    checkpoint: str | None,
) -> None:
    """Prints the student's test figures, writes them to `metrics.json`, and draws a few test frames.

    Args:
        student: The student, after its test.
        data: What it was tested on.
        trainer: The trainer of the test.
        distillation: The callbacks whose attention maps are drawn.
        run_dir: The run's folder.
        checkpoint: The tested checkpoint, as a path within this folder if it is there.
    """
    logged = trainer.callback_metrics
    pixels = {name: float(logged[f"test/{name}"]) for name in ("iou", "existence_accuracy") if f"test/{name}" in logged}
    results = student.test_results | {"pixels": pixels} | origin(data, checkpoint)
    results["data"]["test"] = data.open("test").fingerprint()
    print_results(results)
    frames = frames_at(data, spread(len(data.datasets["test"]), most=6), student.device)
    picture = None
    if frames is not None:  # with on_error=skip, none of them may be readable
        picture = see(student, frames, distillation, count=6).write(run_dir / "pictures" / "test.png")
    if links := log_test(trainer, results, picture):
        results |= {"trackers": links}
    if candidates := find_candidates(student, data):
        write_candidates(run_dir / CANDIDATES, candidates)
    try:
        if not isinstance(found := tested(data, student.metric), str):
            write_tested(run_dir / TESTED, found)
    except LgadError as error:  # with on_error=skip, the test leaves such an image out
        log.warning("The page of the run will show no test frames: %s", error)
    # At the end: a sweep takes a job with this file for complete.
    write_output(run_dir / "metrics.json", json_bytes(results))
    log.info("Figures, predictions, pictures and checkpoints are in %s.", run_dir)


def next_command(run_dir: Path, distillation: list[FeatureDistillation]) -> str:
    """The run to compare this run with: for LGAD, the control without a teacher. Otherwise, LGAD.

    It has the same settings, without those that the other distillation does not take.
    """
    overrides = as_given(OmegaConf.load(run_dir / ".hydra" / "overrides.yaml"))
    control = any(isinstance(callback, LabelGuidedAttentionDistillation) for callback in distillation)
    other, kind = ("label_attention", LabelAttention) if control else ("lgad", LabelGuidedAttentionDistillation)
    taken = parameters(kind)[0].keys() - {"teacher", "teacher_layers"}
    kept = []
    for text in overrides:
        group, _, name = text.lstrip("+~").partition("=")[0].partition(".")
        if group != "run_dir" and (group != "distillation" or name in taken):
            kept.append(text)
    return shlex.join(["lgad-fit", *kept, f"distillation={other}"]) + ", to compare with."


def origin(data: LaneDataModule, checkpoint: str | None) -> dict[str, Any]:
    """What the figures in `metrics.json` belong to.

    Args:
        data: The data.
        checkpoint: The checkpoint, as a path within the run's folder if it is there.
    """
    root = data.url or str(data.root.resolve())
    return {"configuration": "config.yaml", "checkpoint": checkpoint, "data": {"root": root, "identity": data.identity}}
