from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lgad_lightning.commands.command_line import quote, resume_arguments


@pytest.mark.parametrize("name", ["run", "it's", "a=b, c", "two words", "[x]{y}", 'quo"te', "back\\slash\\", "~x"])
def test_a_run_resumes_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name / ".hydra").mkdir(parents=True)
    (tmp_path / name / ".hydra" / "config.yaml").touch()
    arguments = resume_arguments([f"resume={tmp_path / name}"])
    resume, run_dir, _ = OverridesParser.create().parse_overrides(arguments)
    assert resume.value() == run_dir.value() == str(tmp_path / name)


def test_an_interpolation_in_a_name_is_none() -> None:
    (override,) = OverridesParser.create().parse_overrides([f"x={quote('${oc.env:HOME}')}"])
    assert override.value() == "\\${oc.env:HOME}"
