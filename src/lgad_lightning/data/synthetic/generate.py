"""Writes synthetic road scenes to disk in CULane's layout."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lgad_lightning.data.source import SPLITS, Split
from lgad_lightning.data.synthetic.render import render
from lgad_lightning.data.synthetic.scene import REFERENCE_SIZE, SCENARIOS, sample_scene
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.lane import Lane
from lgad_lightning.lanes.lists import MASKS
from lgad_lightning.lanes.raster import rasterise
from lgad_lightning.longwork.locked import locked
from lgad_lightning.longwork.new_folder import check_new_folder, take_place
from lgad_lightning.longwork.parallel import map_parallel
from lgad_lightning.longwork.whole_file import write_whole

log = logging.getLogger(__name__)

MANIFEST = "synthetic.json"
_VERSION = 1  # increase it if the same parameters give other pictures
_CLIP = 100  # pictures in one folder
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class SyntheticData:
    """The parameters of a synthetic data set. Equal parameters give equal bytes.

    Args:
        train: Number of training images.
        val: Number of validation images.
        test: Number of test images.
        image_size: Height and width of the images in pixels, at most 590 x 1640.
        seed: Seed of all scenes.

    Example:
        >>> SyntheticData(train=8).identity == SyntheticData(train=8).identity != SyntheticData(train=9).identity
        True
    """

    train: int = 600
    val: int = 90
    test: int = 180
    image_size: tuple[int, int] = REFERENCE_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        height, width = self.image_size
        if not (32 <= height <= REFERENCE_SIZE[0] and 32 <= width <= REFERENCE_SIZE[1]):
            raise LgadError(f"image_size=({height}, {width}) must lie between (32, 32) and (590, 1640): height, width.")
        for split in SPLITS:
            if getattr(self, split) < 0:
                raise LgadError(f"{split}={getattr(self, split)}: the number of images cannot be negative.")

    @property
    def identity(self) -> str:
        """Eight hexadecimal digits that stand for these parameters."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def name(self, split: str, index: int) -> str:
        """Path of an image below the root, without its extension."""
        return f"driver_{self.identity}_synthetic/{split}_{index // _CLIP:03d}.MP4/{index % _CLIP:05d}"


def generate(data: SyntheticData, root: Path, workers: int | None = None) -> Path:
    """Writes a data set, or its missing files.

    The files are written to a folder beside `root`. It gets the name of `root` at the end, so that `root` is always
    complete. If a call is interrupted, the next one continues. If several processes want the same folder at the same
    time, they wait for the first one.

    Args:
        data: The parameters of the data set.
        root: The folder to write. It must not exist, or be empty, or hold this same data set.
        workers: Number of processes. None: one per core. 0: no other process.

    Returns:
        The absolute path of `root`.

    Raises:
        LgadError: If the folder holds anything else, or cannot be written.
    """
    root = Path(root).resolve()
    if _holds(data, root) and not _missing(data, root):
        return root
    partly = root.with_name(f".{root.name}.{data.identity}.partly")
    try:
        with locked(partly.with_suffix(".lock")):
            if _holds(data, root):
                _repair(data, root, workers)
            else:
                _write(data, partly, workers)
                take_place(partly, root)
    except OSError as error:
        raise LgadError(
            f"The synthetic data set cannot be written to {root}: {error}. Make room there or give another folder; "
            "what is written so far is kept and continued."
        ) from error
    return root


def _holds(data: SyntheticData, root: Path) -> bool:
    """Whether the folder holds this data set. It returns False if the folder is new or empty.

    Raises:
        LgadError: If the folder holds anything else, so that nothing may be written there.
    """
    manifest = root / MANIFEST
    if manifest.is_file():
        found = _read_manifest(manifest)
        if found["identity"] == data.identity:
            return True
        raise LgadError(
            f"{root} holds another synthetic data set (made with {found['parameters']}). "
            f"Give another folder, or remove that one to generate anew with {asdict(data)}."
        )
    check_new_folder(root)
    return False


def _write(data: SyntheticData, folder: Path, workers: int | None) -> None:
    items = _items(data)
    bits = map_parallel(partial(_write_image, data, folder), items, "Generating synthetic roads", workers)
    _write_lists(data, folder, dict(zip(items, bits, strict=True)))
    for left_over in folder.rglob(".*.part"):  # from a call that was killed
        left_over.unlink()
    manifest = {"identity": data.identity, "version": _VERSION, "parameters": asdict(data)}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2))


def _repair(data: SyntheticData, root: Path, workers: int | None) -> None:
    """Writes only the files that are missing."""
    missing = _missing(data, root)
    if not missing:
        return
    log.warning("%d files of %s were missing: they are written again.", len(missing), root)
    lists = any(path.parts[0] == "list" for path in missing)
    items = [item for item in _items(data) if lists or not missing.isdisjoint(_files(data, item))]
    bits = map_parallel(partial(_write_image, data, root), items, "Writing what is missing", workers)
    if lists:
        _write_lists(data, root, dict(zip(items, bits, strict=True)))


def _items(data: SyntheticData) -> list[tuple[Split, int]]:
    return [(split, index) for split in SPLITS for index in range(getattr(data, split))]


def _files(data: SyntheticData, item: tuple[Split, int]) -> list[Path]:
    """Mask, lanes and image of a scene."""
    split, index = item
    name = data.name(split, index)
    return [Path(MASKS[split], f"{name}.png"), Path(f"{name}.lines.txt"), Path(f"{name}.jpg")]


def _missing(data: SyntheticData, root: Path) -> set[Path]:
    lists = _lists(data, dict.fromkeys(_items(data), ""))
    wanted = [*map(Path, lists), *(path for item in _items(data) for path in _files(data, item))]
    return {path for path in wanted if not (root / path).is_file()}


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() >= {"identity", "parameters"}:
        raise LgadError(
            f"{path} is damaged, so that nobody can tell which data set is there: give another folder, or remove that "
            "one to generate it anew."
        )
    return found


def _write_image(data: SyntheticData, folder: Path, item: tuple[Split, int]) -> str:
    """Writes image, lanes and mask of one scene, if they are missing. Returns the existence bits."""
    split, index = item
    # Every split has every scenario equally often. Such a stratified data set needs fewer images.
    scene = sample_scene(SCENARIOS[index % 9], np.random.default_rng([data.seed, SPLITS.index(split), index]))
    lanes = {
        slot: Lane(Lane(points, REFERENCE_SIZE).scaled(data.image_size).points.round(3), data.image_size)
        for slot, points in scene.lanes().items()
    }
    stroke = max(2, round(16 * data.image_size[1] / REFERENCE_SIZE[1]))
    label = rasterise([lanes.get(slot) for slot in (1, 2, 3, 4)], data.image_size, stroke)
    mask, lines, image = (folder / path for path in _files(data, item))
    if not lines.exists():
        text = "".join(" ".join(f"{x:.7g} {y:.7g}" for x, y in lane.points) + " \n" for lane in lanes.values())
        write_whole(lines, text)
    if not mask.exists():
        write_whole(mask, cv2.imencode(".png", label, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
    if not image.exists():
        jpeg = cv2.imencode(".jpg", render(scene, data.image_size), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        write_whole(image, jpeg.tobytes())
    return " ".join(str(int((label == slot).any())) for slot in (1, 2, 3, 4))


def _lists(data: SyntheticData, bits: Mapping[tuple[Split, int], str]) -> dict[str, str]:
    """Path and text of the list files."""
    lists = {}
    for split in SPLITS:
        names = [f"/{data.name(split, index)}" for index in range(getattr(data, split))]
        lists[f"list/{split}.txt"] = "".join(f"{name}.jpg\n" for name in names)
        if split != "test":
            lists[f"list/{split}_gt.txt"] = "".join(
                f"{name}.jpg /laneseg_label_w16{name}.png {bits[split, index]}\n" for index, name in enumerate(names)
            )
    for number, scenario in enumerate(SCENARIOS):
        names = [data.name("test", index) for index in range(number, data.test, 9)]
        lists[f"list/test_split/test{number}_{scenario}.txt"] = "".join(f"{name}.jpg\n" for name in names)
    return lists


def _write_lists(data: SyntheticData, folder: Path, bits: Mapping[tuple[Split, int], str]) -> None:
    for path, text in _lists(data, bits).items():
        if not (folder / path).exists():
            write_whole(folder / path, text)
