"""Divides images into train, val and test if the data set has no such splits."""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.source import SPLITS, Split
from lgad_lightning.errors import LgadError

log = logging.getLogger(__name__)


def read_shares(text: str) -> tuple[float, ...]:
    """Reads the shares of train, val and test from a text.

    Args:
        text: Three numbers that add up to 1, with slashes between them.

    Raises:
        LgadError: If the text is anything else.

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
    """Divides images by whole clips, so that neighbouring frames are never in both training and test.

    A clip is a folder. The clips are sorted by a digest of their names, and each split gets its share of the images in
    this order, at least one clip. If there are fewer folders than splits, single images are divided in the order of
    their names, with a warning. Then, neighbouring frames are in two splits where one split ends and the next begins.

    Args:
        names: Path of each image.
        shares: Shares of train, val and test.

    Returns:
        The numbers of the images of each split, in ascending order.

    Raises:
        LgadError: If there are too few images, so that a split with a share above 0 would be empty.
    """
    clips: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        clips.setdefault(str(PurePosixPath(name).parent), []).append(index)
    order = sorted(clips, key=lambda clip: hashlib.sha256(clip.encode(errors="surrogatepass")).digest())
    groups, wanted = [clips[clip] for clip in order], sum(share > 0 for share in shares)
    if len(names) < wanted:
        raise LgadError(
            f"split={'/'.join(f'{share:g}' for share in shares)}: {len(names)} images are too few for that."
        )
    if len(groups) < wanted:
        log.warning(
            "%d folders are too few to give each split whole ones: images of one folder are in two splits, where one "
            "ends and the next begins. The test may be too easy.",
            len(groups),
        )
        groups = [[index] for index in sorted(range(len(names)), key=_by(names))]
    sizes = np.array([len(group) for group in groups], dtype=float)
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    numbers = _filled(np.searchsorted(np.cumsum(shares)[:2], middles, side="right"), middles, shares)
    found: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for number, group in zip(numbers.tolist(), groups, strict=True):
        found[SPLITS[number]] += group
    return {split: sorted(indices) for split, indices in found.items()}


def _filled(numbers: NDArray[np.intp], middles: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.intp]:
    """The split of each clip. A split without a clip gets the nearest one of a split that has several, if any has."""
    ends = np.cumsum(shares)
    for split, share in enumerate(shares):
        spare = [place for place, number in enumerate(numbers) if (numbers == number).sum() > 1]
        if share and split not in numbers and spare:
            numbers[min(spare, key=lambda place: abs(middles[place] - (ends[split] - share / 2)))] = split
    return numbers


def _by(names: Sequence[str]) -> Callable[[int], list[tuple[int, int, str]]]:
    """A sort key for the numbers of the images. It puts `2.jpg` before `10.jpg`."""
    return lambda index: [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", names[index])
    ]
