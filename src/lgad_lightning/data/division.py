"""Which images are trained on, validated on and tested on, where nobody has said so."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from lgad_lightning.data.source import SPLITS, Split
from lgad_lightning.errors import LgadError


def read_shares(text: str) -> tuple[float, ...]:
    """The shares of training, validation and test.

    Args:
        text: Three numbers that add up to 1.

    Raises:
        LgadError: If they are something else.

    Example:
        >>> read_shares("0.8/0.1/0.1")
        (0.8, 0.1, 0.1)
    """
    try:
        shares = tuple(float(part) for part in str(text).split("/"))
    except ValueError:
        shares = ()
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise LgadError(f"split={text} must be the shares of train, val and test, which add up to 1: like 0.8/0.1/0.1.")
    return shares


def divide(names: Sequence[str], shares: Sequence[float]) -> dict[Split, list[int]]:
    """Divides images by whole clips, so that neighbouring frames are never trained on and tested on.

    A clip is a folder. The clips are put into an order by a digest of their names, and dealt out until each split has
    its share of the images. Where there are too few folders for that, the images are cut in the order of their names:
    then neighbours meet only where two splits do.

    Args:
        names: Path of each image.
        shares: Shares of train, val and test.

    Returns:
        The numbers of the images of each split, ascending.

    Raises:
        LgadError: If there are fewer images than splits.
    """
    clips: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        clips.setdefault(str(PurePosixPath(name).parent), []).append(index)
    order = sorted(clips, key=lambda clip: hashlib.sha256(clip.encode(errors="surrogatepass")).digest())
    for groups in ([clips[clip] for clip in order], [[index] for index in sorted(range(len(names)), key=_by(names))]):
        sizes = np.array([len(group) for group in groups], dtype=float)
        middles = (np.cumsum(sizes) - sizes / 2) / max(sizes.sum(), 1)
        numbers = np.searchsorted(np.cumsum(shares)[:2], middles, side="right")
        found: dict[Split, list[int]] = {split: [] for split in SPLITS}
        for number, group in zip(numbers.tolist(), groups, strict=True):
            found[SPLITS[number]] += group
        if all(found[split] for split, share in zip(SPLITS, shares, strict=True) if share):
            return {split: sorted(indices) for split, indices in found.items()}
    raise LgadError(f"split={'/'.join(f'{share:g}' for share in shares)}: {len(names)} images are too few for that.")


def _by(names: Sequence[str]) -> Callable[[int], list[tuple[int, int, str]]]:
    """The key that puts `2.jpg` before `10.jpg`."""
    return lambda index: [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", names[index])
    ]
