from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from lgad_lightning.errors import LgadError


class LaneLoader(DataLoader[Any]):
    """The DataLoader of a `LaneDataset`: it starts late, and tells of samples that cannot be loaded.

    It looks at its sampler when the first batch is asked for, not before: Lightning makes the iterator of a resumed
    training before it tells the sampler the epoch, and an ordinary DataLoader with workers then begins with the order
    of epoch 0. Failures travel from the workers with the batches, so that `LaneDataset.report` sees them in the main
    process, without a worker's traceback. A batch of nothing but failures is left out in evaluation, unless all are; in
    training, where other processes would wait for it, it is an error.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        loaded, message = False, ""
        dataset: Any = self.dataset
        for batch in super().__iter__():
            failures = batch.pop("failures")
            dataset.report(failures)
            if batch:
                loaded = True
                yield batch
            else:
                message = failures[0].message
                if dataset.training:
                    raise LgadError(message)
        if message and not loaded:
            raise LgadError(message)
