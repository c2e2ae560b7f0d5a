from collections.abc import Iterator
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from lgad_lightning.data.dataset import LaneDataset, collate
from lgad_lightning.data.sampler import EpochSampler
from lgad_lightning.errors import LgadError
from lgad_lightning.longwork.parallel import end_with_parent


def load_batches(
    dataset: LaneDataset, sampler: EpochSampler, batch_size: int, num_workers: int, train: bool
) -> "LaneLoader":
    """Batches of a data set, in the sampler's order.

    Args:
        dataset: The data set.
        sampler: The order.
        batch_size: Images in a batch.
        num_workers: Processes that load; 0 for this one.
        train: Whether a last batch of fewer images is left out, unless it is the only one.
    """
    if num_workers:
        cv2.setNumThreads(0)  # a forked worker may wait for ever for threads that the parent had
    return LaneLoader(
        dataset,
        batch_size=batch_size,  # by name: Lightning makes the loader anew to predict
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        drop_last=train and len(sampler) >= batch_size,
        persistent_workers=num_workers > 0,
    )


def _start_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # no threads of OpenCV; 1 waits for ever, now and then, in a forked worker
    end_with_parent()


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
