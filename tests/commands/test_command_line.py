import re
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lgad_lightning.commands.command_line import (
    SWEEP,
    check_added,
    explain,
    quote,
    resume_arguments,
    resume_sweep,
    swept,
)
from lgad_lightning.errors import LgadError


@pytest.mark.parametrize("name", ["run", "it's", "a=b, c", "two words", "[x]{y}", 'quo"te', "back\\slash\\", "~x"])
def test_a_run_resumes_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name / ".hydra").mkdir(parents=True)
    (tmp_path / name / ".hydra" / "config.yaml").touch()
    arguments = resume_arguments([f"resume={tmp_path / name}"])
    resume, run_dir, _ = OverridesParser.create().parse_overrides(arguments)
    assert resume.value() == run_dir.value() == str(tmp_path / name)


def test_interpolations_in_the_overrides_of_a_sweep_are_kept(tmp_path: Path) -> None:
    given = ["trainer.default_root_dir=${run_dir}/other", "seed=1,2"]
    content = {"hydra": {"overrides": {"task": given}}}
    (tmp_path / SWEEP).write_text(yaml.safe_dump(content))
    assert swept(tmp_path) == given


def test_an_interpolation_in_a_name_is_none() -> None:
    (override,) = OverridesParser.create().parse_overrides([f"x={quote('${oc.env:HOME}')}"])
    assert override.value() == "\\${oc.env:HOME}"


@pytest.mark.parametrize(("name", "told"), [("mine", ["--config-name", "mine"]), ("fit", [])])
def test_a_resumed_sweep_keeps_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = {"cwd": str(tmp_path), "config_sources": [{"path": "/conf", "provider": "command-line"}]}
    content = {"overrides": {"task": ["seed=1,2"], "hydra": []}, "runtime": runtime, "job": {"config_name": name}}
    (tmp_path / SWEEP).write_text(yaml.safe_dump({"hydra": content}))
    ours = ["--multirun", "--config-dir", "/conf", *told, "seed=1,2"]
    assert resume_sweep(tmp_path)[:-1] == ours
    longer = "hydra.sweeper.trials=9"
    resumed = resume_arguments([f"resume={tmp_path}", longer])
    assert resumed[:-1] == [*ours, longer]
    assert resumed[-1].startswith("hydra.sweep.dir=")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("teacher.trainer.max_steps", "+teacher.trainer.max_steps?"),
        ("teacher.trainer.limit_train_batches", "+teacher.trainer.limit_train_batches?"),
        ("teacher.trainer.max_epoch", "teacher.trainer.max_epochs?"),
        ("trainer.limit_train_batch", "trainer.limit_train_batches?"),
    ],
)
def test_the_key_that_was_meant_is_told(key: str, meant: str) -> None:
    error = HydraException(f"Could not override '{key}'.\nTo append to your config use +{key}=3")
    assert explain(error, [f"{key}=3"]) == f"{key} is no key of the configuration. Did you mean {meant}"


@pytest.mark.parametrize("override", ["+max_epochs=3", "++max_epochs=3", "+trainr.max_epochs=3", "++trainr.x.y=1"])
def test_what_is_added_and_not_read_is_refused(override: str) -> None:
    cfg = OmegaConf.create({"trainer": {}, "max_epochs": 3, "trainr": {"max_epochs": 3, "x": {"y": 1}}})
    with pytest.raises(LgadError, match=re.escape(override)):
        check_added([override], cfg, {"trainer"})


@pytest.mark.parametrize("override", ["+mine=one", "++trainer.max_epochs=3", "+rate=0.1", "+rates.low=0.1", "seed=1"])
def test_what_is_added_and_read_is_taken(override: str) -> None:
    cfg = OmegaConf.create(
        {
            "trainer": {"max_epochs": 3},
            "mine": {"a": 1},
            "rate": 0.1,
            "rates": {"low": 0.1},
            "lr": ["${rate}", "${rates.low}"],
        }
    )
    check_added([override], cfg, {"trainer"})
