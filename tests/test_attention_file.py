from pathlib import Path

import numpy as np
import pytest

from lgad_lightning.attention_file import MapPair, StoredMaps, read_maps, write_maps
from lgad_lightning.errors import LgadError


def test_maps_come_back(tmp_path: Path) -> None:
    student = np.array([[[0.0, 0.25], [np.inf, np.nan]]])
    images = np.full((1, 3, 4, 3), 7, np.uint8)
    write_maps(tmp_path / "a.npz", StoredMaps(images, {"lgad a": MapPair(student, np.ones((1, 5, 5)))}))
    stored = read_maps(tmp_path / "a.npz")
    assert (stored.images == images).all()
    assert stored.pairs["lgad a"].student.tolist() == [[[0.0, 0.25], [0.0, 0.0]]]
    assert stored.pairs["lgad a"].target.shape == (1, 5, 5)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"no archive"])
def test_files_without_maps_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(LgadError, match=r"a\.npz"):
        read_maps(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((1, 2, 2, 3), np.uint8)},
        {"images": np.zeros((2, 2), np.uint8), "names": np.array([], str)},
        {
            "images": np.zeros((1, 2, 2, 3), np.uint8),
            "names": np.array(["a"]),
            "student_0": np.zeros((2, 2, 2)),
            "target_0": np.zeros((1, 2, 2)),
        },
        {"images": np.array([{}]), "names": np.array(["a"])},
    ],
)
def test_other_archives_are_told(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(LgadError, match=r"a\.npz"):
        read_maps(tmp_path / "a.npz")
