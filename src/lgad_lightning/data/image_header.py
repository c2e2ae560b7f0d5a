import struct

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG segments that hold the size
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
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return height, width
    return _jpeg_size(content) if content.startswith(b"\xff\xd8") else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        kind = content[place + 1]
        if kind in _FRAMES:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return height, width
        if kind == 0xFF:  # filling
            place += 1
        else:
            place += 2 if kind in _BARE else 2 + struct.unpack(">H", content[place + 2 : place + 4])[0]
    return None
