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
    """Makes the loader of batches of a data set, in the order of the sampler.

    Args:
        dataset: The data set.
        sampler: The order of the samples.
        batch_size: Images in a batch.
        num_workers: Number of processes that load the data. 0: no other process.
        train: Whether to leave out a last batch with fewer images. It is kept if it is the only batch.
    """
    if num_workers:
        cv2.setNumThreads(0)  # a forked worker may wait forever for threads of the parent
    return LaneLoader(
        dataset,
        batch_size=batch_size,  # by name, because Lightning makes the loader again to predict
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        drop_last=train and len(sampler) >= batch_size,
        persistent_workers=num_workers > 0,
    )


def _start_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # no threads of OpenCV; with 1, a forked worker sometimes waits forever
    end_with_parent()


class LaneLoader(DataLoader[Any]):
    """The DataLoader of a `LaneDataset`. It starts late, and reports samples that cannot be loaded.

    It asks its sampler for the order when the first batch is requested, not earlier. When a training is resumed,
    Lightning makes the iterator before it sets the epoch of the sampler. An ordinary DataLoader with workers would then
    use the order of epoch 0. Workers send failures together with the batches. So `LaneDataset.report` gets them in the
    main process, without the traceback of a worker. In evaluation, a batch that has only failures is left out; it is an
    error if all batches are like that. In training, such a batch is an error, because other processes would wait for
    it.
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
