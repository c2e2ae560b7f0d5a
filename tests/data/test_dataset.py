import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lgad_lightning.data import LaneAugmentation, Preprocessing
from lgad_lightning.data.culane import CULaneSource
from lgad_lightning.data.dataset import Failure, LaneDataset, collate
from lgad_lightning.data.sampler import SampleKey
from lgad_lightning.errors import LgadError

SEEN = Preprocessing((40, 100), crop_top=30)


@pytest.fixture
def copy(roads: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(roads, tmp_path / "copy"))


def test_a_sample_is_at_the_input_size(roads: Path) -> None:
    dataset = LaneDataset(CULaneSource(roads, "train"), SEEN)
    sample = dataset[0]
    assert (len(dataset), sample["image"].shape, sample["label"].shape) == (12, (40, 100, 3), (40, 100))
    assert sample["frame"] == (118, 328, 30)
    np.testing.assert_array_equal(sample["label"], dataset.label(0))
    np.testing.assert_array_equal(sample["existence"], [(sample["label"] == slot).any() for slot in (1, 2, 3, 4)])


def test_augmentation_depends_on_seed_epoch_and_sample_alone(roads: Path) -> None:
    augmentation = LaneAugmentation(rotate=5.0)
    one, other = (LaneDataset(CULaneSource(roads, "train"), SEEN, augmentation, seed=3) for _ in range(2))
    other[1], other[5]
    np.testing.assert_array_equal(one[SampleKey(2, 4)]["image"], other[SampleKey(2, 4)]["image"])
    assert not np.array_equal(one[SampleKey(2, 4)]["image"], one[SampleKey(2, 5)]["image"])


def test_a_failed_image_is_replaced_in_training_and_left_out_in_evaluation(copy: Path) -> None:
    source = CULaneSource(copy, "train")
    (copy / source.names[3]).write_bytes(b"no image")
    training = LaneDataset(source, SEEN, on_error="skip")
    failure = training[3]
    assert isinstance(failure, Failure)
    assert source.names[3] in failure.message
    np.testing.assert_array_equal(failure.instead["image"], training[4]["image"])
    assert len(collate([training[2], failure])["name"]) == 2
    evaluation = LaneDataset(source, SEEN, evaluation=True, on_error="skip")
    batch = collate([evaluation[2], evaluation[3]])
    assert batch["name"] == [source.names[2]]
    evaluation.report(batch["failures"])
    assert list(evaluation.skipped) == [source.names[3]]
    with pytest.raises(LgadError):
        LaneDataset(source, SEEN).report(batch["failures"])


def test_a_batch_of_failures_holds_nothing_else(copy: Path) -> None:
    failure = Failure("a.jpg", "cannot be read")
    assert collate([failure, failure]) == {"failures": [failure, failure]}


def test_collated_arrays_are_stacked(roads: Path) -> None:
    dataset = LaneDataset(CULaneSource(roads, "test"), SEEN, evaluation=True)
    batch = collate([dataset[0], dataset[1]])
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].shape == (2, 40, 100, 3)
    assert batch["existence"].shape == (2, 4)
    assert batch["evaluation"]["images"] == batch["name"]
