"""`lgad-cli`: LightningCLI composes the package's classes, and yours, from YAML."""

import os
import re
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from pydoc import locate
from typing import Any

import lightning as L
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from typing_extensions import override

from lgad_lightning import __version__
from lgad_lightning.callbacks import FeatureDistillation
from lgad_lightning.commands.build import remember_network
from lgad_lightning.commands.configs import CLI_CONFIG_DIR
from lgad_lightning.commands.console import lasting_output
from lgad_lightning.commands.mistakes import INTERRUPTED, describe, keep_traceback
from lgad_lightning.data import LaneDataModule
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import replaced_checkpoints
from lgad_lightning.modules import LaneModule
from lgad_lightning.modules.weights import read_checkpoint


def main() -> None:
    """The console script: `lgad-cli fit|validate|test|predict --config FILE`.

    If FILE does not exist here, it is searched among the configurations that ship with the package.
    """
    full_error = os.environ.get("LGAD_FULL_ERROR") == "1"
    try:
        sys.argv[1:] = [shipped(argument) for argument in sys.argv[1:]]
        for argument in sys.argv[1:]:
            refuse_deep_nesting(argument)
        with lasting_output():
            LaneCLI(
                LaneModule,
                LaneDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                trainer_defaults={"plugins": {"class_path": "lgad_lightning.checkpoints.WholeCheckpointIO"}},
                parser_kwargs={"version": __version__, "exit_on_error": False},
            )
    except Exception as error:
        if full_error:
            raise
        sys.exit(explain(error))
    except (KeyboardInterrupt, SystemExit) as stop:  # the trainer turns the first into the second
        if isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt):
            print("lgad-cli: interrupted. To go on: the same command with --ckpt_path LAST.ckpt.", file=sys.stderr)
            sys.exit(INTERRUPTED)
        raise


def explain(error: Exception) -> str:
    """Says what went wrong in at most five lines. If no setting caused it, the traceback goes to a file."""
    for cause in causes(error):  # jsonargparse lists them among all types that do not fit
        if isinstance(cause, LgadError):
            return f"lgad-cli: {cause}"
    if isinstance(error, ArgumentError):
        return f"lgad-cli: {' '.join(str(error).split()):.600}"
    return f"lgad-cli: {describe(error)}\nThe traceback is in {keep_traceback('lgad-cli', error)}."


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, the error that it was raised from or during, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


KEYWORDS = ("best", "last", "hpc", "registry")
"""What Lightning takes for --ckpt_path in addition to paths."""


DEEPEST = 500
"""Largest number of levels, or of columns of indentation, of a configuration."""


class LaneCLI(LightningCLI):
    """LightningCLI that checks checkpoints first, evaluates only trained weights, and needs no teacher to evaluate."""

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        super().parse_arguments(parser, args)
        checkpoint = self.config[self.config.subcommand].ckpt_path
        if checkpoint not in (None, *KEYWORDS) and "://" not in checkpoint:
            read_checkpoint(checkpoint)  # Lightning reads it next, but does not explain what is wrong with it

    def _parse_ckpt_path(self) -> None:
        """Does nothing. Lightning would let the checkpoint's hyperparameters replace those that were given."""

    @override
    def before_instantiate_classes(self) -> None:
        if self.subcommand not in ("validate", "test", "predict"):
            return
        config = self.config[self.subcommand]
        if config.ckpt_path is None:
            raise LgadError(
                f"{self.subcommand} without --ckpt_path would use an untrained network: give --ckpt_path FILE, the "
                "checkpoint of a training."
            )
        callbacks = config.trainer.callbacks or []
        nodes = callbacks if isinstance(callbacks, list) else [callbacks]
        config.trainer.callbacks = [node for node in nodes if not is_distillation(node)]

    @override
    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        if self.subcommand == "fit" and self.config["fit"].ckpt_path is None:
            refuse_replacing(self.trainer)
        node = self.config[self.subcommand].model.get("init_args", {}).get("network")
        if isinstance(node, Namespace) and "class_path" in node:
            arguments = node.get("init_args")
            remember_network(self.model.network, node.class_path, arguments.as_dict() if arguments else {})


def refuse_replacing(trainer: L.Trainer) -> None:
    """Refuses a training from scratch that would replace the checkpoints of an earlier training."""
    for folder, names in replaced_checkpoints(trainer):
        if found := sorted(file for name in names for file in folder.glob(f"{name}.ckpt")):
            raise LgadError(
                f"{found[0]} is there already, and this training would replace it. To go on with that training: "
                "--ckpt_path FILE. For another one: move its folder away, or give another dirpath."
            )


def is_distillation(node: Any) -> bool:
    """Whether a callback's configuration is that of a distillation. Distillations only work in `fit`."""
    kind = locate(node.class_path)
    return isinstance(kind, type) and issubclass(kind, FeatureDistillation)


def shipped(argument: str) -> str:
    """Replaces the bare name of a configuration that ships with the package by its path."""
    if not argument.endswith(".yaml") or Path(argument).exists():
        return argument
    flag, _, name = argument.rpartition("=")
    file = CLI_CONFIG_DIR / name
    return f"{flag}={file}" if flag and file.is_file() else str(file) if file.is_file() else argument


def refuse_deep_nesting(argument: str) -> None:
    """Refuses YAML, in a file or on the command line, that is nested so deeply that libyaml's stack overflows."""
    name = argument.rpartition("=")[2]
    try:
        text = Path(name).read_text() if name.endswith((".yaml", ".yml", ".json")) else argument
    except (OSError, ValueError):
        return  # the parser says what is wrong with it
    brackets = (1 if sign in "[{" else -1 for sign in text if sign in "[{}]")
    dashes = (len(indent) for indent in re.findall(r"^[ ?-]+", text, re.MULTILINE))
    if max(accumulate(brackets), default=0) > DEEPEST or max(dashes, default=0) > DEEPEST:
        raise LgadError(f"{name if text != argument else 'An argument'} is nested deeper than {DEEPEST} levels.")


if __name__ == "__main__":  # Lightning starts the other processes of `python -m lgad_lightning` this way
    main()
