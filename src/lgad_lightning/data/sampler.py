"""The order of training: a function of seed and epoch alone."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, DistributedSampler


class SampleKey(NamedTuple):
    """Which sample to load, and in which epoch: what is drawn for it depends on nothing else but the seed."""

    sample: int
    epoch: int


class EpochSampler(DistributedSampler[SampleKey]):
    """Yields the keys of one process's share of the samples.

    Equal for equal seed and epoch, whatever the number of workers, so that a resumed training sees what it would have
    seen. It is a `DistributedSampler` so that Lightning leaves it in place, but it never repeats samples to fill up,
    which would count them twice in a metric.

    Args:
        dataset: The samples, for their number.
        seed: Seed of the order.
        shuffle: Whether to draw a new order every epoch. If so, processes get equally many samples and the rest is
            left to other epochs; if not, every sample comes exactly once.
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
        """Tells how many of its samples an epoch has had before the training was interrupted; they are left out."""

    def __iter__(self) -> Iterator[SampleKey]:
        total = len(self.dataset)  # type: ignore[arg-type]
        order = torch.arange(total)
        if self.shuffle:
            order = torch.randperm(total, generator=torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch))
        for index in order[self.rank :: self.num_replicas][self.seen() : self.num_samples].tolist():
            yield SampleKey(index, self.epoch)
