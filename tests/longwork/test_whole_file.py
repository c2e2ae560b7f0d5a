from pathlib import Path

import pytest

from lgad_lightning.longwork.whole_file import whole_file, write_whole


def test_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "file"
    for content in ("old", "new"):
        with whole_file(target) as part:
            part.write_text(content)
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(TypeError), whole_file(target) as part:
        part.write_bytes("no bytes")  # type: ignore[arg-type]
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    with whole_file(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_writers_with_equal_process_ids_do_not_share_a_part(tmp_path: Path) -> None:
    """In containers, each first process has the number 1."""
    target = tmp_path / "file"
    with whole_file(target) as first:
        first.write_text("first")
        with whole_file(target) as second:
            second.write_text("second")
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", ["Fahrbahn: ä\n", b"\x00\xff\r\n"])
def test_texts_and_bytes_are_written_as_they_are(tmp_path: Path, content: str | bytes) -> None:
    write_whole(tmp_path / "new" / "file", content)
    assert (tmp_path / "new" / "file").read_bytes() == (content.encode() if isinstance(content, str) else content)
