"""Networks as student and as teacher, trained a few steps by `lgad-fit`."""

import json
from pathlib import Path

import pytest

from tests.helpers.commands import TINY, run


@pytest.mark.slow
def test_scnn_learns_under_a_teacher_of_its_kind(tmp_path: Path) -> None:
    run("lgad-fit", "network=scnn", *TINY, "hydra.run.dir=run", folder=tmp_path)
    assert "total" in json.loads((tmp_path / "run/metrics.json").read_text())
    logged = (tmp_path / "run/fit.log").read_text()
    assert "encoder.stage4" in logged
