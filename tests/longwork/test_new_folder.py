from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.new_folder import check_new_folder, take_place


def test_new_and_empty_folders_are_taken(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_new_folder(tmp_path / "empty")


def test_a_mount_point_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "volume")
    with pytest.raises(LgadError, match="volume is a mount point"):
        check_new_folder(tmp_path / "volume")


@pytest.mark.parametrize("here", [True, False])
def test_the_current_folder_is_filled(here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("part/inner", "place"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "part" / "inner" / "file").touch()
    if here:
        monkeypatch.chdir(tmp_path / "place")
    before = (tmp_path / "place").stat().st_ino
    take_place(tmp_path / "part", tmp_path / "place")
    assert (tmp_path / "place" / "inner" / "file").is_file()
    assert not (tmp_path / "part").exists()
    assert ((tmp_path / "place").stat().st_ino == before) == here
