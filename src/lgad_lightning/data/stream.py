"""Reads data sets packed into large chunks, with litdata (the extra `stream`). They may be larger than one machine."""

import json
from collections.abc import Iterator, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.pixels import Image, decode_image
from lgad_lightning.data.run_lengths import decode_runs
from lgad_lightning.data.source import SPLITS, LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.extras import import_extra
from lgad_lightning.lanes import Lane

INDEX = "index.json"
"""The file in which litdata lists the chunks of a split."""

SCORED = "scored"
"""The key under which an item keeps the lanes of the metric, if these are not its annotated lanes."""


def is_packed(root: Path) -> bool:
    """Whether a folder holds what `pack` writes."""
    indices = [root / split / INDEX for split in SPLITS]
    return any(isfile(path) and b'"chunks"' in path.read_bytes() for path in indices)  # noqa: PTH113


class StreamSource(LaneSource):
    """A split that `pack` has written.

    Args:
        url: Folder or address (`s3://...`) of the split.
        num_slots: The expected number of lane slots. None: any number.
        readers: Names of data modules. One of them must have packed the split. None: any data module.

    Raises:
        LgadError: If there is no such split, if litdata is missing, or if the split has another packer or another
            number of slots than expected.
    """

    def __init__(self, url: str, num_slots: int | None = None, readers: Sequence[str] | None = None) -> None:
        litdata = import_litdata()
        self.url = url
        self._last: tuple[int, dict[str, Any]] | None = None
        try:
            self._items = litdata.StreamingDataset(url)
            self._count = len(self._items)
        except (OSError, ValueError, RuntimeError) as error:
            raise LgadError(f"{url} holds no packed lanes: {error}") from error
        first = self.item(0)
        if not isinstance(first, dict) or "facts" not in first:
            raise LgadError(f"{url} holds no packed lanes: its chunks are not from lgad-data pack.")
        self.facts: dict[str, Any] = json.loads(first["facts"])
        packer, packed_slots = self.facts["module"], self.facts["num_slots"]
        if readers is not None and packer not in readers:
            raise LgadError(f"{url} was packed by {packer}: read it with that, not with {readers[0]}.")
        if num_slots not in (None, packed_slots):
            raise LgadError(f"{url} was packed with {packed_slots} lane slots; num_slots is {num_slots}.")
        super().__init__(Path(url), _Names(self), packed_slots)
        self.stroke = self.facts["stroke"]
        self.traced = self.facts.get("traced", False)  # data that were packed before do not say it

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> dict[str, Any]:
        """The stored data of an image. The last one is kept in memory.

        Raises:
            LgadError: If the image cannot be read.
        """
        if self._last is None or self._last[0] != index:
            try:
                self._last = index, self._items[index]
            except Exception as error:  # litdata and its backends raise many kinds
                raise LgadError(f"Image {index} of {self.url} cannot be read: {error}") from error
        return self._last[1]

    def image(self, index: int, reduce: bool = False) -> Image:
        """The pixels of an image."""
        return decode_image(bytes(self.item(index)["image"]), self.names[index], reduce)

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The mask. None if the packed data set had no masks."""
        runs = bytes(self.item(index)["mask"])
        return decode_runs(runs, image_size) if runs else None

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The annotated lanes."""
        return [Lane(points, image_size) for points in json.loads(self.item(index)["lanes"])]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots that were stored when the data set was packed. `lanes` is not used."""
        slots = json.loads(self.item(index)["slots"])
        return [slot and Lane(slot["points"], tuple(slot["image_size"])) for slot in slots]

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """The keyword arguments for the metric of the packed data set."""
        facts: dict[str, Any] = json.loads(self.item(index)["evaluation"])
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        if "target" in given:
            scored = given.pop(SCORED, None)
            lanes = self.lanes(index, image_size) if scored is None else [Lane(points, image_size) for points in scored]
            given["target"] = lanes
        return given

    def fingerprint(self) -> str:
        """The fingerprint of the split from which the data were packed."""
        return str(self.facts["fingerprint"])

    def files(self, index: int) -> list[Path]:
        """The index file of the split, which lists its chunks."""
        return [Path(self.url) / INDEX]


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
        try:
            return str(self.source.item(index)["name"])
        except LgadError:  # reports need a name even if the image cannot be read
            return f"image {index} of {self.source.url}"

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def import_litdata() -> Any:
    """Imports litdata. An LgadError says what to install if it is missing."""
    return import_extra("litdata", "stream", "A packed data set")
