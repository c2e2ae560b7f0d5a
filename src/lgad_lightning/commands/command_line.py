"""The command line of `lgad-fit`: handles `resume=`, and explains in one line what Hydra cannot read or find."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgad_lightning.commands.configs import CONFIG, CONFIG_DIR
from lgad_lightning.commands.mistakes import describe
from lgad_lightning.commands.value_types import nearest
from lgad_lightning.errors import LgadError

SWEEP = "multirun.yaml"
"""The file that Hydra writes into a sweep's folder."""
NEEDS_EXTRA = 'needs the extra sweep: pip install "lgad-lightning[sweep]".'


def resume_arguments(arguments: list[str]) -> list[str]:
    """Points Hydra at the folder of the run, or of the sweep, to resume.

    Args:
        arguments: The command line's arguments.

    Returns:
        The arguments for Hydra.

    Raises:
        LgadError: If the folder is not a run or sweep of `lgad-fit`, if there are other overrides with `resume`, or if
            a configuration of `lgad-cli` is given.
    """
    if any(re.match(r"\+*cli[=@/]", argument) for argument in arguments):
        raise LgadError("cli=NAME is for lgad-cli: lgad-cli fit --config NAME.yaml. Here it is +experiment=NAME.")
    folders = [argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return arguments
    folder = Path(folders[-1]).expanduser().absolute()
    if not folder.exists():
        folder = Path(folders[-1].strip("'\"")).expanduser().absolute()
    folder = folder.resolve()
    is_sweep = (folder / SWEEP).is_file()
    if not is_sweep and not (folder / ".hydra" / "config.yaml").is_file():
        raise LgadError(f"resume={folder} is no run folder of lgad-fit: it holds no .hydra/config.yaml.")
    others = [argument for argument in arguments if not argument.startswith(("resume=", "hydra."))]
    if others:
        raise LgadError(
            f"A resumed run keeps its own configuration, so it takes no other override: drop {' '.join(others)}, "
            "or start a new run."
        )
    if is_sweep:
        return resume_sweep(folder, [argument for argument in arguments if argument.startswith("hydra.")])
    return [f"resume={quote(str(folder))}", f"hydra.run.dir={quote(str(folder))}", "hydra.output_subdir=null"]


def swept(folder: Path) -> list[str] | None:
    """Reads the overrides that a sweep was started with. None if there was no sweep."""
    try:
        return as_given(OmegaConf.load(folder / SWEEP).hydra.overrides.task)
    except (OSError, AttributeError, OmegaConfBaseException, yaml.YAMLError):
        return None


def as_given(overrides: Any) -> list[str]:
    """The texts of Hydra's overrides. `${...}` in them stays, because it refers to the run's configuration."""
    return cast(list[str], OmegaConf.to_container(overrides, resolve=False))


def resume_sweep(folder: Path, changes: Sequence[str] = ()) -> list[str]:
    """Returns the arguments that continue a sweep. Changes to the folder that it was started in.

    Args:
        folder: The sweep's folder.
        changes: Settings of Hydra that replace those of the start, such as a larger `hydra.sweeper.trials`.

    Raises:
        LgadError: If its overrides cannot be read.
    """
    if (overrides := swept(folder)) is None:
        raise LgadError(f"{folder / SWEEP} does not tell what the sweep was started with: start it anew.")
    settings = OmegaConf.load(folder / SWEEP).hydra
    if Path(settings.runtime.cwd).is_dir():
        os.chdir(settings.runtime.cwd)
    given = [source.path for source in settings.runtime.config_sources if source.provider == "command-line"]
    places = [word for path in given for word in ("--config-dir", path)]
    if settings.job.config_name != CONFIG:
        places += ["--config-name", settings.job.config_name]
    ours = ("hydra.sweep.dir=", "hydra.mode=")
    others = [text for text in as_given(settings.overrides.hydra) if not text.startswith(ours)]
    return ["--multirun", *places, *overrides, *others, *changes, f"hydra.sweep.dir={quote(str(folder))}"]


def check_added(overrides: Sequence[str], cfg: DictConfig, read: Collection[str]) -> None:
    """Refuses `+NAME=VALUE` and `+NAME.KEY=VALUE` if nothing reads or refers to NAME, because it would have no effect.

    Args:
        overrides: The command line's overrides, as Hydra has them.
        cfg: The composed configuration.
        read: The keys at its top that `lgad-fit` reads.

    Raises:
        LgadError: If there is such an override. The message names the first one.
    """
    for override in overrides:
        added = re.match(r"\+{1,2}(\w+)([.=])", override)
        value = cfg.get(added[1]) if added else None
        if added is None or value is None or added[1] in read:
            continue
        if added[2] == "=" and OmegaConf.is_config(value):
            continue  # a file of a group of the user's own
        if not re.search(rf"\$\{{{added[1]}[.}}]", str(OmegaConf.to_container(cfg, resolve=False))):
            raise LgadError(f"{override}: there is no group {added[1]}, and lgad-fit reads no key of this name.")


def quote(text: str) -> str:
    r"""Quotes a text for Hydra's overrides, so that Hydra reads exactly this text.

    Example:
        >>> quote("it's"), quote("a=b ${c}")
        ("'it\\'s'", "'a=b \\${c}'")
    """
    text = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text)
    return "'" + text.replace("${", "\\${") + "'"


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """Says what is wrong with a command line that Hydra cannot make a configuration of.

    Args:
        error: The error that Hydra raised.
        arguments: The command line's arguments.

    Returns:
        One message. If a key is unknown, it gives the nearest valid key.
    """
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read. Give KEY=VALUE; a value with special characters goes into quotes, "
            "inside those of the shell: 'KEY=\"VALUE\"'."
        )
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group == "hydra/launcher" and name.startswith(("joblib", "submitit")):
            return f"{group}={name} {NEEDS_EXTRA}"
        choices = ", ".join(option for option in error.options if option != "__init__")
        return f"There is no {group}={name}.{nearest(name, error.options)} Choose from {choices}."
    if isinstance(error, OSError) and not isinstance(error, MissingConfigException):
        return f"The run's folder cannot be made: {error}. Give another hydra.run.dir."
    unknown = re.match(r"Could not override '(.+)'\.", str(error))
    if unknown and "defaults list" not in str(error):
        key = unknown[1]
        known = known_keys(arguments, key)
        parent = key.rpartition(".")[0]
        beside = [name for name in known if name.rpartition(".")[0] == parent]
        near = get_close_matches(key, beside if parent in known else known, n=1, cutoff=0.8)
        alike = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
        meant = " or ".join(near or sorted(alike, key=lambda name: name.count("."))[:3])
        if key.partition(".")[2] in known:  # a setting of the trainer or the network, for one phase
            meant = f"+{key}"
        hint = f" Did you mean {meant}?" if meant else f" A new one is added by +{key}=VALUE."
        return f"{key} is no key of the configuration.{hint}"
    reason = " ".join(str(error).split()) if type(error).__module__ == "hydra.errors" else describe(error)
    return f"No configuration can be made of {' '.join(arguments)}: {reason}"


def known_keys(arguments: Sequence[str], wrong: str) -> list[str]:
    """All keys of the configuration that the command line gives without its wrong overrides."""
    groups = [
        argument for argument in arguments if re.match(r"\+?[a-z]+=", argument) and not argument.startswith(wrong)
    ]
    for overrides in (groups, []):
        try:
            with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
                cfg = compose("fit", overrides=overrides, return_hydra_config=wrong.startswith("hydra"))
        except Exception:  # there is another mistake, too
            continue
        return list(_flat("", OmegaConf.to_container(cfg)))
    return []


def _flat(key: str, node: Any) -> Iterator[str]:
    if key:
        yield key
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _flat(f"{key}.{name}" if key else str(name), value)
