"""Packed data give the batches of the files that they were made of."""

from typing import Any

import torch

from lgad_lightning.data import LaneDataModule

SETTINGS: dict[str, Any] = {"input_size": (36, 80), "batch_size": 4, "num_workers": 0}


def assert_same_batches(files: LaneDataModule, streamed: LaneDataModule) -> None:
    """Compares all batches of all splits."""
    streamed.prepare_data()
    for data in (files, streamed):
        data.setup()
    for split in ("train", "val", "test"):
        pairs = zip(getattr(files, f"{split}_dataloader")(), getattr(streamed, f"{split}_dataloader")(), strict=True)
        for plain, other in pairs:
            assert plain["name"] == other["name"]
            assert torch.equal(plain["image"], other["image"])
            assert torch.equal(plain["label"], other["label"])
            assert plain.get("evaluation") == other.get("evaluation")
