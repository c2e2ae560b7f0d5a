"""Hostile settings: each ends its command at once, in a message that names it, with nothing of the user's changed."""

from pathlib import Path

import pytest

from tests.faults.endings import told
from tests.faults.hostile_settings import CLI, DATA, EVAL, EXPORT, FIT, PREDICT, REPORT
from tests.helpers.commands import TINY
from tests.helpers.in_one_process import run_each

SETTINGS = {
    "fit": FIT, "cli": CLI, "data": DATA, "evaluate": EVAL, "predict": PREDICT, "report": REPORT, "export": EXPORT,
}  # fmt: skip


@pytest.mark.parametrize("command", [*list(SETTINGS)[:-1], pytest.param("export", marks=pytest.mark.export)])
def test_hostile_settings_are_told(command: str, kept: Path, tmp_path: Path) -> None:
    if command == "export":
        pytest.importorskip("onnx", reason="needs the extra `export`")
    table = SETTINGS[command]
    assert len(table) >= 30
    small = [*TINY, "data.root=HOME/data"] if command == "fit" else []
    calls = [[*small, *call.split()] if not call.startswith("data=") else [call] for call, _ in table]
    calls = [[word.replace("HOME", str(kept)) for word in call] for call in calls]
    ends = run_each(f"lgad_lightning.commands.{command}", calls, tmp_path)
    told([call for call, _ in table], ends, words=[word.replace("HOME", str(kept)) for _, word in table])
    assert not list(tmp_path.rglob("*.ckpt"))
