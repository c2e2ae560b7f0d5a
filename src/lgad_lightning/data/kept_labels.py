"""Label maps kept from one run to the next: best effort, since all that they save is time."""

import logging
from pathlib import Path

from lgad_lightning.data.dataset import LaneDataset
from lgad_lightning.data.label_cache import LabelCache, build_label_cache, files_stamp
from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError

log = logging.getLogger(__name__)


class KeptLabels:
    """The label caches in a folder; what cannot be kept costs a warning, and nothing else.

    Args:
        folder: The folder; None to keep nothing.
        size: Height and width of the label maps.
    """

    def __init__(self, folder: Path | None, size: tuple[int, int]) -> None:
        self.folder = folder
        self.size = size
        self._warned = False

    def build(self, name: str, dataset: LaneDataset) -> None:
        """Makes the cache of a split, unless it is there.

        Args:
            name: Its file.
            dataset: Gives the label maps.

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
        """The cache of a split; None where there is none that can be used.

        Args:
            name: Its file.
            source: Its files, in their present state.
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
