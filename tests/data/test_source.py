import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.data.annotated import AnnotatedSource
from lgad_lightning.data.image_header import header_size
from lgad_lightning.data.pixels import read_image, read_mask
from lgad_lightning.data.placement import Placement
from lgad_lightning.errors import LgadError


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("extension", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_file_cut_off_is_refused_by_name(tmp_path: Path, extension: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    path = write(tmp_path / f"frame.{extension}", noise)
    assert read_image(path).shape == (64, 96, 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LgadError, match=rf"frame\.{extension}"):
        read_image(path)


def test_an_image_of_absurd_size_is_not_decoded(tmp_path: Path) -> None:
    sound = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(sound[:16] + 2 * (30_000).to_bytes(4, "big") + sound[24:])
    with pytest.raises(LgadError, match=r"a\.png has 30000 x 30000 pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]])
def test_headers_tell_the_size(ending: str, options: list[int]) -> None:
    content = cv2.imencode(ending, np.zeros((7, 300, 3), np.uint8), options if ending == ".jpg" else [])[1].tobytes()
    assert header_size(content) == (7, 300)
    assert [header_size(content[:length]) for length in range(12)] == [None] * 12


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_the_size_of_a_rotated_image_is_that_of_its_pixels(ending: str, tmp_path: Path) -> None:
    content = cv2.imencode(ending, np.zeros((7, 300, 3), np.uint8))[1].tobytes()
    turned = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6
    if ending == ".png":
        chunk = b"eXIf" + turned
        header = len(turned).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        content = content[:33] + header + content[33:]
    else:
        content = content[:2] + b"\xff\xe1" + (len(turned) + 8).to_bytes(2, "big") + b"Exif\0\0" + turned + content[2:]
    (tmp_path / f"a{ending}").write_bytes(content)
    source = AnnotatedSource(tmp_path, [f"a{ending}"], 2, Placement(".lines.txt"))
    assert source.image_size(0) == source.image(0).shape[:2] == (300, 7)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"nowhere\.jpg"):
        read_image(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("start", [b"", b"\xff\xd8", b"\x89PNG"])
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, start: bytes, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.jpg"
    path.write_bytes(start + content)
    with pytest.raises(LgadError, match=r"noise\.jpg"):
        read_image(path)


def test_a_mask_keeps_its_values(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 4, 255]], np.uint8)
    assert np.array_equal(read_mask(write(tmp_path / "m.png", mask), 4), mask)


def test_a_mask_with_other_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"m\.png has the value 5"):
        read_mask(write(tmp_path / "m.png", np.array([[0, 5]], np.uint8)), 4)


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="single-channel"):
        read_mask(write(tmp_path / "m.png", np.zeros((4, 4, 3), np.uint8)), 4)


def test_reduced_decoding_halves_the_size(tmp_path: Path) -> None:
    assert read_image(write(tmp_path / "a.jpg", np.zeros((59, 164, 3), np.uint8)), reduce=True).shape == (30, 82, 3)


def test_a_header_of_impossible_size_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = b"\x7f\xff\xff\xff" * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(LgadError, match=r"huge\.png"):
        read_image(path)


@pytest.mark.parametrize("name", ["a\0b.jpg", "\ud800.jpg"])
def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LgadError, match="Cannot read"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("appended", [bytes(5000), b"a film \xff\xda and its sound"])
def test_what_a_camera_appends_does_no_harm(appended: bytes, tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    cv2.imwrite(str(path), np.full((32, 64, 3), 90, np.uint8))
    expected = read_image(path)
    path.write_bytes(path.read_bytes() + appended)
    assert np.array_equal(read_image(path), expected)
