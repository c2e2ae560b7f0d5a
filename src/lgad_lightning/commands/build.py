"""Builds the objects that the configuration of `lgad-fit` describes."""

import json
from pydoc import locate
from typing import Any, Literal, TypedDict, cast

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgad_lightning.commands.mistakes import describe
from lgad_lightning.commands.nodes import build, told
from lgad_lightning.commands.requeue import RequeueBetweenSteps
from lgad_lightning.commands.terminal import PhaseProgressBar
from lgad_lightning.commands.value_types import check_node, check_value
from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import resume_behind_epochs, starts_processes_as
from lgad_lightning.modules import LaneModule, LaneStudent
from lgad_lightning.rebuildable import remember

Node = dict[str, Any]

_BESIDE_THE_TRAINER = {"callbacks": "callbacks.NAME or student.callbacks.NAME", "logger": "logger=NAME or logger.NAME"}


class PhaseSettings(TypedDict):
    """`student` in `conf/fit.yaml`."""

    checkpoint: str | None
    module: Node
    network: Node
    trainer: Node
    callbacks: dict[str, Node | None]


class TeacherSettings(PhaseSettings):
    """`teacher` in `conf/fit.yaml`."""

    cache_dir: str | None


class FitSettings(TypedDict):
    """The part of its configuration that `lgad-fit` itself reads."""

    seed: int
    stage: Literal["all", "teacher", "student"]
    num_classes: int
    monitor: str
    report: bool
    data: Node
    network: Node
    distillation: Node | None
    trainer: Node
    callbacks: dict[str, Node | None]
    logger: dict[str, Node | None]
    teacher: TeacherSettings
    student: PhaseSettings


def resolve(cfg: DictConfig, phase: str) -> dict[str, Any]:
    """Resolves the configuration for a phase, as plain values.

    Args:
        cfg: The composed configuration.
        phase: `teacher` or `student`.

    Returns:
        Nested dictionaries and lists.

    Raises:
        LgadError: If a value is missing, refers to nothing, or has the wrong type.
    """
    cfg = cfg.copy()
    cfg.phase = phase
    try:
        missing = OmegaConf.missing_keys(cfg) - {"distillation.teacher"}  # `lgad-fit` fills in `teacher: ???`
        settings = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise LgadError(f"{error.full_key}: {describe(error.__cause__ or error)}") from error
    if missing:
        raise LgadError(f"{sorted(missing)[0]} is not set: give {sorted(missing)[0]}=VALUE.")
    check_value("", settings, FitSettings)
    for key, node in settings.items():
        check_node(key, node)
    return settings


def build_module(settings: dict[str, Any], phase: str) -> Any:
    """Builds the untrained module of a phase. Equal seeds give equal modules.

    Args:
        settings: The resolved configuration.
        phase: `teacher` or `student`.

    Raises:
        LgadError: If it cannot be built, or if it cannot be trained with its optimiser.
    """
    told("seed", lambda: L.seed_everything(settings["seed"], workers=True, verbose=False))
    node = settings["network"] | settings[phase]["network"]
    network = build(f"{phase}.network", node)
    arguments = {name: value for name, value in node.items() if name[0] != "_"}
    remember_network(network, node["_target_"], arguments)
    module = build(f"{phase}.module", settings[phase]["module"], network=network)
    if isinstance(module, LaneModule):
        key = "optimizer" if phase == "student" else "teacher.module.optimizer"
        optimizer = told(key, lambda: module.build_optimizer(module.parameters()))
        if (build_scheduler := module.build_scheduler) is not None:
            told("scheduler", lambda: build_scheduler(optimizer, 100))
    return module


def remember_network(network: Any, path: str, arguments: dict[str, Any]) -> None:
    """Stores the arguments of a network, so that its checkpoint alone is enough.

    Args:
        network: The network.
        path: Its class or function, as a configuration names it.
        arguments: The arguments in the configuration.
    """
    told = json.dumps(arguments, default=str)  # arguments that are objects are not plain values
    if '"_target_"' not in told and '"class_path"' not in told:
        remember(network, locate(path), arguments)


def build_callbacks(settings: dict[str, Any]) -> list[L.Callback]:
    """Builds the configured callbacks of the phase that the configuration is resolved for."""
    phase = settings["phase"]
    own, common = settings[phase]["callbacks"], settings["callbacks"]
    configured = own | common  # in this order: `last` holds the state of `best`
    keys = {name: f"callbacks.{name}" if name in common else f"{phase}.callbacks.{name}" for name in configured}
    return [build(keys[name], node) for name, node in configured.items() if node]


def build_loggers(settings: dict[str, Any]) -> list[Logger]:
    """Builds the configured loggers."""
    return [build(f"logger.{name}", node) for name, node in settings["logger"].items() if node]


def build_trainer(settings: dict[str, Any], callbacks: list[L.Callback]) -> L.Trainer:
    """Builds the trainer of the phase that the configuration is resolved for.

    Args:
        settings: The resolved configuration. The phase's own settings override those of `trainer`.
        callbacks: Callbacks in addition to the configured ones.

    Raises:
        LgadError: If it cannot be built, if its processes cannot be used, or if callbacks or loggers are in its own
            node.
    """
    node = settings["trainer"] | settings[settings["phase"]]["trainer"]
    for name, places in _BESIDE_THE_TRAINER.items():
        if name in node:
            raise LgadError(f"trainer.{name} would have no effect: set {places}.")
    bars = [PhaseProgressBar(settings["phase"])] if node.get("enable_progress_bar", True) else []
    requeue = [RequeueBetweenSteps()] if SLURMEnvironment.detect() else []
    trainer: L.Trainer = build(
        "trainer",
        node,
        callbacks=[*build_callbacks(settings), *callbacks, *bars, *requeue],
        logger=build_loggers(settings),
    )
    resume_behind_epochs(trainer)
    check_processes(trainer)
    return trainer


def check_processes(trainer: L.Trainer) -> None:
    """Refuses the ways to start processes that this command cannot use.

    Args:
        trainer: The trainer of a phase.

    Raises:
        LgadError: If its processes would be copies of this one, or would each run a sweep again.
    """
    start = starts_processes_as(trainer)
    if start == "copies":
        raise LgadError(
            "trainer.strategy: processes that are copies of this one (spawn, fork) would keep the results of the "
            "training to themselves: set trainer.strategy=ddp, or trainer.devices=1."
        )
    if start == "commands" and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise LgadError(
            f"A sweep (-m) cannot train on {trainer.num_devices} devices with ddp, whose processes would each run the "
            "whole sweep again: set trainer.devices=1, or hydra/launcher=slurm with a process for each device."
        )


def refuse_no_batches(trainer: L.Trainer, *splits: Literal["train", "val", "test"]) -> None:
    """Refuses a limit of 0 for the splits on which a phase is trained, or scored at its end.

    Args:
        trainer: The trainer.
        splits: `train`, and `val` for a teacher alone or `test` for a student.

    Raises:
        LgadError: If no batch of one of them would be used.
    """
    for split in splits:
        if getattr(trainer, f"limit_{split}_batches") == 0:
            without = "trains nothing" if split == "train" else "leaves no figures"
            raise LgadError(f"trainer.limit_{split}_batches=0 {without}: give 1 or more, or leave it out.")


def check_monitor(monitor: str, student: LaneStudent, data: LaneDataModule) -> None:
    """Refuses a figure that this student does not log.

    Args:
        monitor: The figure that chooses the best checkpoint.
        student: The student.
        data: What it is trained on.

    Raises:
        LgadError: If its metric does not give this figure, or if the figure needs an existence head that the network
            lacks.
    """
    figures = getattr(student.metric or data.protocol.metric(), "figures", None)
    if figures is None:
        return
    has_existence = getattr(student.network, "existence", True) is not None
    known = [f"val/{name}" for name in (*figures, "iou", *["existence_accuracy"] * has_existence, "loss")]
    if monitor not in known:
        raise LgadError(f"monitor={monitor} is not logged in this training: choose one of {', '.join(known)}.")
