"""Keeps label maps from one run to the next. This only saves time, so a missing cache is not an error."""

import logging
from pathlib import Path

from lgad_lightning.data.dataset import LaneDataset
from lgad_lightning.data.label_cache import LabelCache, build_label_cache, files_stamp
from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError

log = logging.getLogger(__name__)


class KeptLabels:
    """The label caches in a folder. If a cache cannot be written or read, there is only a warning.

    Args:
        folder: The folder. None: keep nothing.
        size: Height and width of the label maps.
    """

    def __init__(self, folder: Path | None, size: tuple[int, int]) -> None:
        self.folder = folder
        self.size = size
        self._warned = False

    def build(self, name: str, dataset: LaneDataset) -> None:
        """Makes the cache of a split, unless there is a current one.

        Args:
            name: Name of the cache file.
            dataset: The data set that makes the label maps.

        Raises:
            LgadError: If a label map cannot be made.
        """
        if self.folder is None:
            return
        path = self.folder / name
        try:
            build_label_cache(path, _files(dataset.source), dataset.label, skip=dataset.on_error == "skip")
        except OSError as error:
            self._warn(f"The label cache {path} cannot be written: {error}.")

    def open(self, name: str, source: LaneSource) -> LabelCache | None:
        """Opens the cache of a split. Returns None if there is none that can be used.

        Args:
            name: Name of the cache file.
            source: The source of the label maps. The cache must fit the present state of its files.
        """
        if self.folder is None:
            return None
        try:
            return LabelCache(self.folder / name, self.size, files_stamp(_files(source)))
        except (LgadError, OSError, ValueError) as error:
            self._warn(str(error))
            return None

    def _warn(self, reason: str) -> None:
        if not self._warned:
            log.warning("%s Label maps are made from their files instead, which is slower.", reason)
        self._warned = True


def _files(source: LaneSource) -> list[list[Path]]:
    return [source.files(index) for index in range(len(source))]
