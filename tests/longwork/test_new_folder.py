from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.new_folder import check_new_folder


def test_new_and_empty_folders_are_taken(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_new_folder(tmp_path / "empty")


def test_folders_that_cannot_be_replaced_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty" / "here")
    with pytest.raises(LgadError, match=r"holds the current folder.*data"):
        check_new_folder(Path())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "volume")
    with pytest.raises(LgadError, match="volume is a mount point"):
        check_new_folder(tmp_path / "volume")
