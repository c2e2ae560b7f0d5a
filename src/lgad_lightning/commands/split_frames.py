"""Frames of the test split, for pictures and for the page of a run."""

from collections.abc import Sequence

import torch
from lightning.fabric.utilities import move_data_to_device

from lgad_lightning.data import LaneBatch, LaneDataModule
from lgad_lightning.data.dataset import collate


def frames_at(data: LaneDataModule, places: Sequence[int], device: torch.device) -> LaneBatch | None:
    """A batch of test frames, without those that cannot be loaded. None if there are no others.

    Args:
        data: The data, set up to test.
        places: Their numbers in the split.
        device: The device for the batch.
    """
    dataset = data.datasets["test"]
    batch = collate([dataset[place] for place in places])
    if "image" not in batch:
        return None
    batch = move_data_to_device(batch, device)
    return data.on_after_batch_transfer(batch, 0)
