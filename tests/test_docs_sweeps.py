"""What docs/sweeps.md tells people to type."""

import re
import shlex

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from lgad_lightning.commands.configs import CONFIG_DIR
from tests.conftest import CHECKOUT

PAGE = (CHECKOUT / "docs" / "sweeps.md").read_text()
COMMANDS = [shlex.split(text) for text in re.findall(r"lgad-fit -m [^`\n]+", PAGE)]


def needed(command: list[str]) -> str | None:
    """The plugin of Hydra that a command needs."""
    if "hydra/launcher=processes" in command:
        return "hydra_joblib_launcher"
    return "hydra_submitit_launcher" if "hydra/launcher=slurm" in command else None


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_sweep_composes(command: list[str]) -> None:
    if plugin := needed(command):
        pytest.importorskip(f"hydra_plugins.{plugin}", reason="needs the extra sweep")
    given = OverridesParser.create().parse_overrides(command[2:])
    jobs = [
        override.input_line
        for override in given
        if override.key_or_group.startswith("hydra") or not override.is_sweep_override()
    ]
    first = [
        f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
        for override in given
        if override.is_sweep_override() and override.is_discrete_sweep()
    ]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=[*jobs, *first], return_hydra_config=True)
        for override in given:
            if override.is_interval_sweep():
                assert override.key_or_group.split(".")[1] in cfg[override.key_or_group.split(".")[0]]


def test_the_page_shows_each_engine() -> None:
    assert len(COMMANDS) >= 6
    for choice in (
        "hydra/sweeper=optuna",
        "hydra/launcher=processes",
        "hydra/launcher=slurm",
        "hydra/launcher=submitit_local",
    ):
        assert choice in PAGE
