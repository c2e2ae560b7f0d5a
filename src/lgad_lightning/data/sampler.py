"""The order of the samples in training. It depends only on seed and epoch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, DistributedSampler


class SampleKey(NamedTuple):
    """Which sample to load, and in which epoch. Its augmentation depends only on these two and on the seed."""

    sample: int
    epoch: int


class EpochSampler(DistributedSampler[SampleKey]):
    """Yields the keys of one process's share of the samples.

    The order is the same for the same seed and epoch, with any number of workers. So a resumed training gets the same
    samples as one without interruption. It is a `DistributedSampler`, so that Lightning does not replace it. But it
    never repeats samples to fill up a share, because a metric would count them twice.

    Args:
        dataset: The samples. Only their number is used.
        seed: Seed of the order.
        shuffle: Whether to draw a new order in every epoch. If so, all processes get the same number of samples, and
            the rest is left out in this epoch. If not, every sample comes exactly once.
        num_replicas: Number of processes.
        rank: Number of this process.

    Example:
        >>> sampler = EpochSampler(torch.arange(3), shuffle=False)
        >>> sampler.set_epoch(2)
        >>> list(sampler)
        [SampleKey(sample=0, epoch=2), SampleKey(sample=1, epoch=2), SampleKey(sample=2, epoch=2)]
    """

    def __init__(
        self, dataset: Dataset[Any], seed: int = 0, shuffle: bool = True, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)
        total = len(dataset)  # type: ignore[arg-type]
        self.num_samples = total // num_replicas if shuffle else len(range(rank, total, num_replicas))
        self.seen: Callable[[], int] = int
        """Returns how many samples of the epoch were used before the training was interrupted. They are left out."""

    def __iter__(self) -> Iterator[SampleKey]:
        total = len(self.dataset)  # type: ignore[arg-type]
        order = torch.arange(total)
        if self.shuffle:
            order = torch.randperm(total, generator=torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch))
        for index in order[self.rank :: self.num_replicas][self.seen() : self.num_samples].tolist():
            yield SampleKey(index, self.epoch)
