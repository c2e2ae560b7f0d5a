from pathlib import Path

import pytest
import yaml

from lgad_lightning.commands.tested import find_tested
from lgad_lightning.reporting.run import read_run
from tests.reporting.conftest import Make, make

__all__ = ["make"]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("os.system", "os.system, which is not part of this package"),
        ("lgad_lightning.commands.run_folder.Path", "not part"),
        ("lgad_lightning.nothing.Here", "not part"),
        ("lgad_lightning.CULaneDataModule", "nowhere"),
    ],
)
def test_a_page_runs_no_code_of_others(make: Make, tmp_path: Path, target: str, told: str) -> None:
    folder = make("run", 0.5, root=str(tmp_path / "nowhere"))
    data = {"_target_": target, "root": str(tmp_path / "nowhere"), "input_size": [32, 96]}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    why = find_tested(read_run(folder))
    assert isinstance(why, str)
    assert told in why


@pytest.mark.parametrize("content", [None, "", "data: [", "data: 3"])
def test_a_missing_or_damaged_configuration_is_told(make: Make, content: str | None) -> None:
    folder = make("run", 0.5)
    if content is not None:
        (folder / "config.yaml").write_text(content)
    why = find_tested(read_run(folder))
    assert isinstance(why, str)
    assert "config.yaml" in why
