"""Attention maps as data, so that other programs can show them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.whole_file import whole_file


class MapPair(NamedTuple):
    """The maps of one pair of layers.

    Attributes:
        student: The maps of the student, `(N, H, W)`, non-negative.
        target: The maps of the target, `(N, H', W')`, non-negative.
    """

    student: NDArray[Any]
    target: NDArray[Any]


class StoredMaps(NamedTuple):
    """The maps of a few samples.

    Attributes:
        images: The samples, in small: `(N, height, width, 3)`, uint8, RGB.
        pairs: The maps by the name of the pair, the shallowest pair first.
    """

    images: NDArray[np.uint8]
    pairs: Mapping[str, MapPair]


def write_maps(path: Path, maps: StoredMaps) -> None:
    """Writes maps to a file, in half precision. The file is never half written.

    Args:
        path: An `.npz` file.
        maps: The maps.
    """
    arrays: dict[str, Any] = {"images": maps.images, "names": np.array(list(maps.pairs))}
    for number, pair in enumerate(maps.pairs.values()):
        arrays |= {f"{side}_{number}": values.astype(np.float16) for side, values in pair._asdict().items()}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_maps(path: Path) -> StoredMaps:
    """Reads a file of `write_maps`.

    Args:
        path: The file.

    Returns:
        The maps in float32. Values that are not finite are set to 0.

    Raises:
        LgadError: If the file is missing, damaged, or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            images = stored["images"]
            pairs = {
                str(name): MapPair(_map(stored[f"student_{number}"]), _map(stored[f"target_{number}"]))
                for number, name in enumerate(stored["names"])
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise LgadError(f"{path} holds no attention maps: {error}.") from error
    fit = all(one.ndim == 3 and len(one) == len(images) for pair in pairs.values() for one in pair)
    if images.ndim != 4 or images.dtype != np.uint8 or not fit:
        raise LgadError(f"{path} holds no attention maps of {len(images)} samples.")
    return StoredMaps(images, pairs)


def _map(values: NDArray[Any]) -> NDArray[Any]:
    return np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0).clip(0)
