"""Data sets packed into large chunks, for those that outgrow one machine; through litdata (the extra `stream`)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.pixels import Image, decode_image
from lgad_lightning.data.run_lengths import decode_runs
from lgad_lightning.data.source import SPLITS, LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane

INDEX = "index.json"
"""The file in which litdata lists the chunks of a split."""


def is_packed(root: Path) -> bool:
    """Whether a folder holds what `pack` writes."""
    return any((root / split / INDEX).is_file() for split in SPLITS)


class StreamSource(LaneSource):
    """A split that `pack` has written.

    Args:
        url: Folder or address (`s3://...`) of the split.
        num_slots: Number of lane slots; None for those that were packed.
        readers: Names of the data modules that may read it, of which one must have packed it; None for any.

    Raises:
        LgadError: If there is no such split, litdata is missing, or the split is of another data set.
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
        self.facts: dict[str, Any] = json.loads(self.item(0)["facts"])
        packer, packed_slots = self.facts["module"], self.facts["num_slots"]
        if readers is not None and packer not in readers:
            raise LgadError(f"{url} was packed by {packer}: read it with that, not with {readers[0]}.")
        if num_slots not in (None, packed_slots):
            raise LgadError(f"{url} was packed with {packed_slots} lane slots; num_slots is {num_slots}.")
        super().__init__(Path(url), _Names(self), packed_slots)
        self.stroke = self.facts["stroke"]

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> dict[str, Any]:
        """What is stored of an image; the last one is kept at hand.

        Raises:
            LgadError: If it cannot be read.
        """
        if self._last is None or self._last[0] != index:
            try:
                self._last = index, self._items[index]
            except Exception as error:  # of whatever kind litdata and its backends raise
                raise LgadError(f"Image {index} of {self.url} cannot be read: {error}") from error
        return self._last[1]

    def image(self, index: int, reduce: bool = False) -> Image:
        """The pixels of an image."""
        return decode_image(bytes(self.item(index)["image"]), self.names[index], reduce)

    def mask(self, index: int, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The mask, where the packed data set had masks."""
        runs = bytes(self.item(index)["mask"])
        return decode_runs(runs, image_size) if runs else None

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        """The annotated lanes."""
        return [Lane(points, image_size) for points in json.loads(self.item(index)["lanes"])]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        """The slots that the packed data set gave the lanes of the image, whatever `lanes` are."""
        slots = json.loads(self.item(index)["slots"])
        return [slot and Lane(slot["points"], tuple(slot["image_size"])) for slot in slots]

    def evaluation(self, index: int, image_size: tuple[int, int]) -> dict[str, Any]:
        """What the metric of the packed data set wants to know."""
        facts: dict[str, Any] = json.loads(self.item(index)["evaluation"])
        target = {"target": self.lanes(index, image_size)} if "target" in facts else {}
        return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()} | target

    def fingerprint(self) -> str:
        """That of the split that was packed."""
        return str(self.facts["fingerprint"])

    def files(self, index: int) -> list[Path]:
        """The list of the split's chunks."""
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
        except LgadError:  # an image that cannot be read still needs a name to be reported by
            return f"image {index} of {self.source.url}"

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def import_litdata() -> Any:
    """litdata, imported only where it is used.

    Raises:
        LgadError: If it is missing.
    """
    try:
        import litdata.streaming
    except ImportError as error:
        raise LgadError("Packed data sets need litdata: pip install 'lgad-lightning[stream]'.") from error
    return litdata
