from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader


class LaneLoader(DataLoader[Any]):
    """The DataLoader of a `LaneDataset`: it starts late, and tells of samples that cannot be loaded.

    It looks at its sampler when the first batch is asked for, not before: Lightning makes the iterator of a resumed
    training before it tells the sampler the epoch, and an ordinary DataLoader with workers then begins with the order
    of epoch 0. Failures travel from the workers with the batches, so that `LaneDataset.report` sees them in the main
    process, without a worker's traceback.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            self.dataset.report(batch.pop("failures"), empty=not batch)  # type: ignore[attr-defined]
            yield batch
