from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from lgad_lightning.commands.command_line import SWEEP, quote, resume_arguments, swept


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
