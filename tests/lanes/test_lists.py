import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.lists import read_list


def test_lists_of_three_kinds_read_alike(tmp_path: Path) -> None:
    kinds = ["/a/1.jpg /m/1.png 1 1 1 0 \n/a/2.jpg /m/2.png 0 0 0 0\n", "/a/1.jpg /m/1.png\r\n/a/2.jpg /m/2.png"]
    for text in [*kinds, "a/1.jpg \n\na/2.jpg\n"]:
        (tmp_path / "list.txt").write_text(text)
        assert list(read_list(tmp_path / "list.txt")) == ["a/1.jpg", "a/2.jpg"]


@pytest.mark.parametrize("line", ["a.jpg m.png 1 1 1", "/ m.png 1 1 1 1", "a.jpg m.png 1 1 1 2", "a b c d e f g"])
def test_a_garbled_list_names_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "train_gt.txt").write_text(f"a/1.jpg\n{line}\n")
    with pytest.raises(LgadError, match=r"train_gt\.txt:2"):
        read_list(tmp_path / "train_gt.txt")


@given(content=st.binary(max_size=300))
def test_random_bytes_in_a_list_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.txt"
    path.write_bytes(content)
    with contextlib.suppress(LgadError):
        assert all(name and not name.startswith("/") for name in read_list(path))


def test_a_list_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf/a/1.jpg\r\n/a/2.jpg\r\n")
    assert list(read_list(tmp_path / "list.txt")) == ["a/1.jpg", "a/2.jpg"]


def test_names_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"/a/\xe4.jpg\n")
    (name,) = read_list(tmp_path / "list.txt")
    assert os.fsencode(name) == b"a/\xe4.jpg"
