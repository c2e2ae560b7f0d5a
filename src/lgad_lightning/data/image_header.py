import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG segments that hold the size
_SCAN = 0xDA  # the segment before the pixels
_BARE = frozenset(range(0xD0, 0xDA)) | {0x01}  # those without a length


def header_size(content: bytes) -> tuple[int, int] | None:
    r"""Reads the size of a PNG or JPEG from its header, without decoding the image.

    Args:
        content: The bytes of the file.

    Returns:
        Height and width. None if the header has no size, or if the file is of another kind. The orientation tag of a
        camera is ignored.

    Example:
        >>> header_size(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x06\x68\0\0\x02\x4e")
        (590, 1640)
    """
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return height, width
    return _jpeg_size(content) if content.startswith(b"\xff\xd8") else None


def is_cut_off(content: bytes) -> bool:
    r"""Whether a PNG or JPEG ends too early. Behind its end there may be more data.

    A JPEG must have an end marker behind the beginning of its first scan. Thumbnails have end markers, too, but they
    come before the first scan. Of a PNG, all parts must be there up to the last one.

    Args:
        content: The bytes of the file. A file of another kind is not cut off.

    Example:
        >>> is_cut_off(b"\xff\xd8\xff\xda\0\2pixels"), is_cut_off(b"\xff\xd8\xff\xda\0\2pixels\xff\xd9")
        (True, False)
    """
    if content.startswith(_PNG):
        return _png_end(content) > len(content)
    if not content.startswith(b"\xff\xd8"):
        return False
    scan = next((place for kind, place in _segments(content) if kind == _SCAN), 0)
    return content.find(b"\xff\xd9", scan) < 0


def _png_end(content: bytes) -> int:
    """Where a PNG ends, as the lengths of its parts tell."""
    place, kind = len(_PNG), b""
    while kind != b"IEND" and place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        place += 12 + length
    return place if kind == b"IEND" else len(content) + 1


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    for kind, place in _segments(content):
        if kind in _FRAMES:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return height, width
    return None


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """The kind and the place of each segment of a JPEG, up to its first scan."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        kind = content[place + 1]
        yield kind, place
        if kind == _SCAN:
            return
        if kind == 0xFF:  # filling
            place += 1
        else:
            place += 2 if kind in _BARE else 2 + struct.unpack(">H", content[place + 2 : place + 4])[0]
