from pathlib import Path

import pytest

from lgad_lightning.cache import copy_atomically, fingerprint


def test_fingerprints_tell_descriptions_apart() -> None:
    assert fingerprint({"lr": 0.1, "size": [1, 2]}) == fingerprint({"size": [1, 2], "lr": 0.1})
    assert fingerprint({"lr": 0.1}) != fingerprint({"lr": 0.2})


def test_a_copy_replaces_its_target_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    target = tmp_path / "cache" / "file"
    copy_atomically(tmp_path / "source", target)
    copy_atomically(tmp_path / "source", target)
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_copy_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        copy_atomically(tmp_path / "missing", target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
