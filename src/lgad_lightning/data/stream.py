"""Data sets packed into large chunks, for those that outgrow one machine; through litdata (the extra `stream`)."""

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.base import SPLITS, LaneDataModule, Split
from lgad_lightning.data.label_cache import decode_runs, encode_runs
from lgad_lightning.data.parallel import iterate_parallel
from lgad_lightning.data.source import Image, LaneSource, decode_image
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane


def pack(module: LaneDataModule, folder: Path, workers: int | None = None, chunk_bytes: str = "64MB") -> None:
    """Writes a data set as chunks, to be read by `StreamLaneDataModule` from there or from where you copy them.

    Images keep their bytes; label maps are kept at the images' size. The folder appears when all is written.

    Args:
        module: The data set.
        folder: Where to write: new or empty.
        workers: Number of processes, as for `map_parallel`.
        chunk_bytes: Size of a chunk.

    Raises:
        LgadError: If the folder is in use, litdata is missing, or a file cannot be read or written.
    """
    litdata = _litdata()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LgadError(f"{folder} exists and is not empty: give a new folder.")
    partly = folder.with_name(f".{folder.name}.partly")
    try:
        shutil.rmtree(partly, ignore_errors=True)
        for split in SPLITS:
            source = module.source(split)
            cache = litdata.streaming.Cache(str(partly / split), chunk_bytes=chunk_bytes)
            make = partial(_item, source, module.identity)
            for index, item in enumerate(iterate_parallel(make, range(len(source)), f"Packing {split}", workers)):
                cache[index] = item
            cache.done()
            cache.merge()
        partly.replace(folder)
    except OSError as error:
        raise LgadError(f"The data set cannot be packed into {folder}: {error}.") from error


class StreamSource(LaneSource):
    """A split that `pack` has written.

    Args:
        url: Folder or address (`s3://...`) of the split.
        num_slots: Number of lane slots.
    """

    def __init__(self, url: str, num_slots: int) -> None:
        litdata = _litdata()
        try:
            self._items = litdata.StreamingDataset(url)
            self._count = len(self._items)
        except (OSError, ValueError, RuntimeError) as error:
            raise LgadError(f"{url} holds no packed lanes: {error}") from error
        self._last: tuple[int, dict[str, Any]] | None = None
        super().__init__(Path(url), _Names(self), num_slots)

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> dict[str, Any]:
        """What is stored of an image; the last one is kept at hand."""
        if self._last is None or self._last[0] != index:
            self._last = index, self._items[index]
        return self._last[1]

    def image(self, index: int, reduce: bool = False) -> Image:
        """The pixels of an image."""
        return decode_image(bytes(self.item(index)["image"]), self.names[index], reduce)

    def label(self, index: int, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The label map of an image, cropped and resized."""
        label = decode_runs(bytes(self.item(index)["label"]), (frame.height, frame.width))
        resized = cv2.resize(label[frame.crop_top :], size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized.astype(np.uint8, copy=False)

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The annotated lanes."""
        return [Lane(points, image_size) for points in json.loads(self.item(index)["lanes"])]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """Not kept: the label map has the slots."""
        raise NotImplementedError

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """What the metric of the packed data set wants to know."""
        facts: dict[str, Any] = json.loads(self.item(index)["evaluation"])
        return {"target": self.lanes(index, image_size)} | {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
        }


class StreamLaneDataModule(LaneDataModule):
    """Any of the data sets, after `lgad-data pack`: read from a folder, or item by item from an object store.

    Args:
        root: Folder or address (`s3://...`, `gs://...`) that `train/`, `val/` and `test/` lie in.
        num_slots: Number of lane slots of the data set.
        options: Everything else of `LaneDataModule`, but for `label_cache`: label maps are cheap to read here.

    Example:
        >>> StreamLaneDataModule("s3://roads/culane", input_size=(208, 976), crop_top=240).num_classes
        5
    """

    def __init__(self, root: str, num_slots: int = 4, **options: Any) -> None:
        if options.get("label_cache") is not None:
            raise LgadError("StreamLaneDataModule takes no label_cache: its label maps are packed already.")
        super().__init__(root, num_slots=num_slots, **options)
        self.url = str(root).rstrip("/")

    def source(self, split: Split) -> StreamSource:
        """The images and labels of a split."""
        return StreamSource(f"{self.url}/{split}", self.num_slots)

    def check(self, splits: Sequence[Split] = SPLITS) -> None:  # type: ignore[override]
        """Looks whether the splits can be opened."""
        for split in splits:
            self.source(split)

    @property
    def identity(self) -> str:
        """The identity of the packed data set, and the geometry."""
        packed = self.source("train").item(0)["identity"]
        return f"{packed}-{self.input_size[0]}x{self.input_size[1]}-{self.crop_top}"


class _Names(Sequence[str]):
    def __init__(self, source: StreamSource) -> None:
        self.source = source

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        name: str = self.source.item(index)["name"]
        return name

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def _item(source: LaneSource, identity: str, index: int) -> dict[str, Any]:
    height, width = source.image(index).shape[:2]
    lanes = source.lanes(index, (height, width))
    facts = source.evaluation(index, (height, width))
    del facts["target"]
    return {
        "name": source.names[index],
        "image": (source.root / source.names[index]).read_bytes(),
        "label": encode_runs(source.label(index, Frame(height, width), (height, width))),
        "lanes": json.dumps([lane.points.tolist() for lane in lanes]),
        "evaluation": json.dumps(facts),
        "identity": identity,
    }


def _litdata() -> Any:
    """The library, imported only where it is used."""
    try:
        import litdata.streaming
    except ImportError as error:
        raise LgadError("Packed data sets need litdata: pip install 'lgad-lightning[stream]'.") from error
    return litdata
