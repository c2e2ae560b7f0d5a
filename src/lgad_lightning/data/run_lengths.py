"""Label maps as compressed run lengths."""

import zlib

import numpy as np
from numpy.typing import NDArray


def encode_runs(label: NDArray[np.uint8]) -> bytes:
    """Encodes a label map as compressed run lengths, with a checksum.

    Args:
        label: Any array of uint8.

    Example:
        >>> label = np.eye(4, dtype=np.uint8)
        >>> bool((decode_runs(encode_runs(label), (4, 4)) == label).all())
        True
    """
    flat = label.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=len(flat)).astype("<u4")
    return zlib.compress(lengths.tobytes() + flat[starts].tobytes(), 9)


def decode_runs(record: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decodes a label map from what `encode_runs` returned.

    Args:
        record: The compressed run lengths.
        size: Height and width of the label map.

    Raises:
        ValueError: If the runs do not fill the size.
        zlib.error: If the record is damaged.
    """
    content = zlib.decompress(record)
    lengths = np.frombuffer(content, "<u4", len(content) // 5)
    if len(content) % 5 or lengths.sum(dtype=np.uint64) != size[0] * size[1]:  # wrong runs could fill the memory
        raise ValueError(f"the runs do not fill {size[0]} x {size[1]} pixels")
    return np.repeat(np.frombuffer(content, np.uint8, offset=4 * len(lengths)), lengths).reshape(size)
