"""Masks are label maps, or one `LgadError` that names the file: whatever the file holds."""

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.data.masks import read_own_mask
from lgad_lightning.errors import LgadError

SIZE = (6, 9)


def png(array: Any, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, np.asarray(array))[1].tobytes()


SOUND = png(np.arange(54, dtype=np.uint8).reshape(SIZE) % 3)
GREY, COLOURS = np.zeros(SIZE, np.uint8), np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
HOSTILE = {
    "nothing": b"",
    "text": b"1 2 3",
    "zeros": bytes(99),
    "its head alone": SOUND[:33],
    "half a head": SOUND[:20],
    "another size": png(np.zeros((9, 6), np.uint8)),
    "one pixel": png(np.zeros((1, 1), np.uint8)),
    "16 bit": png(np.zeros(SIZE, np.uint16)),
    "noise": png(np.arange(54, dtype=np.uint8).reshape(SIZE)),
    "a value too high": png(GREY + 9),
    "colours": png(COLOURS),
    "colours and alpha": png(np.dstack([COLOURS, GREY])),
    "a JPEG": png(GREY, ".jpg"),
    "a JPEG of colours": png(COLOURS, ".jpg"),
    "half a JPEG": png(COLOURS, ".jpg")[:200],
    "a BMP": png(GREY, ".bmp"),
    "a WebP": png(COLOURS, ".webp"),
    "900 megapixels": SOUND[:16] + (30_000).to_bytes(4, "big") * 2 + SOUND[24:],
    "no pixels": SOUND[:16] + bytes(8) + SOUND[24:],
    "a palette that is missing": SOUND[:25] + b"\3" + SOUND[26:],
    "a palette that is cut off": SOUND[:25] + b"\3" + SOUND[26:33] + b"\0\0\3\0PLTE",
    "an empty palette": SOUND[:25] + b"\3" + SOUND[26:33] + b"\0\0\0\0PLTE" + SOUND[33:],
    **{f"{place} flipped": SOUND[:place] + bytes([SOUND[place] ^ 255]) + SOUND[place + 1 :] for place in range(8, 40)},
    **{f"cut off at {place}": SOUND[:place] for place in range(34, len(SOUND), 4)},
}
TABLES: list[Any] = [None, {0: 0, 1: 1}, {"#ff0000": 1}]


def read_or_refuse(path: Path, table: Any) -> None:
    with contextlib.suppress(LgadError):
        mask = read_own_mask(path, table, 2, SIZE)
        assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
        assert set(np.unique(mask)) <= {0, 1, 2, 255}


@pytest.mark.parametrize("table", TABLES)
def test_hostile_masks_are_read_or_refused(table: Any, tmp_path: Path) -> None:
    assert len(HOSTILE) >= 60
    for content in HOSTILE.values():
        (tmp_path / "a.png").write_bytes(content)
        read_or_refuse(tmp_path / "a.png", table)


def test_a_damaged_length_is_refused_before_gigabytes_are_reserved(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(SOUND[:33] + b"\xf0" + SOUND[34:])
    with pytest.raises(LgadError, match=r"a\.png is cut off after \d+ bytes"):
        read_own_mask(tmp_path / "a.png", None, 2, SIZE)
    (tmp_path / "a.png").write_bytes(SOUND + b"more")
    assert read_own_mask(tmp_path / "a.png", None, 2, SIZE).shape == SIZE


@settings(max_examples=300)
@given(noise=st.binary(max_size=80), place=st.integers(0, len(SOUND)), table=st.sampled_from(TABLES))
def test_random_masks_are_read_or_refused(
    noise: bytes, place: int, table: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.png"
    path.write_bytes(SOUND[:place] + noise + SOUND[place + len(noise) :])
    read_or_refuse(path, table)


@pytest.mark.parametrize("colours", ["no colours", "equal colours", "few colours", "too few colours"])
def test_the_numbers_of_a_palette_are_the_values(colours: str, tmp_path: Path) -> None:
    """Its colours may be equal: some programs leave them all black, or draw all lanes in one colour."""
    numbers = np.arange(54, dtype=np.uint8).reshape(SIZE) % 3
    palette = {"no colours": bytes(768), "equal colours": bytes(3) + b"\xff" * 765, "few colours": bytes(range(9))}
    palette["too few colours"] = bytes(range(6))  # Pillow writes and reads such files
    head = SOUND[12:25] + b"\3" + SOUND[26:29]
    chunks = [(13, head), (len(palette[colours]), b"PLTE" + palette[colours])]
    content = b"".join(struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) for size, chunk in chunks)
    (tmp_path / "a.png").write_bytes(SOUND[:8] + content + SOUND[33:])
    assert (read_own_mask(tmp_path / "a.png", None, 2, SIZE) == numbers).all()
    assert (read_own_mask(tmp_path / "a.png", {1: 2, 2: 1}, 2, SIZE) == (3 - numbers) % 3).all()
