"""Makes samples and batches of the network's input size from the files of a source."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lgad_lightning.data.augment import LaneAugmentation
from lgad_lightning.data.label_cache import DamagedCacheError, LabelCache
from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.data.sampler import SampleKey
from lgad_lightning.data.source import LaneSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame

log = logging.getLogger(__name__)

_PATIENCE = 100  # after so many images in a row that cannot be loaded, no further image is tried


class LaneBatch(TypedDict, total=False):
    """A batch of any of the package's data sets.

    Attributes:
        image: `(B, 3, H, W)` float32, normalised. Before the transfer to the device: `(B, H, W, 3)` uint8.
        label: `(B, H, W)` int64 classes, 255 for ignored pixels. Before the transfer to the device: uint8.
        existence: `(B, slots)` float32, 1 where the slot has a lane.
        name: Path of each image below the data set's root.
        frame: How each input was cut from its image.
        evaluation: In validation and test: keyword arguments of the metric's `update`.
    """

    image: Tensor
    label: Tensor
    existence: Tensor
    name: list[str]
    frame: list[Frame]
    evaluation: dict[str, list[Any]]


class Failure(NamedTuple):
    """Says why a sample could not be loaded. In training, it also holds the sample that takes its place."""

    name: str
    message: str
    instead: dict[str, Any] | None = None


class LaneDataset(Dataset[dict[str, Any] | Failure]):
    """Samples at the network's input size.

    Args:
        source: Where images and labels come from.
        preprocessing: How images are cropped and resized.
        augmentation: The augmentation of image and label, or None.
        seed: Seed of the augmentation.
        labels: Whether samples have labels.
        evaluation: Whether samples have what the metric needs.
        label_cache: Label maps that `label` made earlier. They are used instead of the source's.
        on_error: What to do with a sample that cannot be loaded: `raise` or `skip`. If it is skipped in training, the
            next sample that can be loaded takes its place, so that batches stay full.

    Attributes:
        skipped: Error messages of the samples skipped so far, by name of the image.

    Raises:
        LgadError: If images are too small for the preprocessing's `reduced_decode`.
    """

    def __init__(
        self,
        source: LaneSource,
        preprocessing: Preprocessing,
        augmentation: LaneAugmentation | None = None,
        seed: int = 0,
        labels: bool = True,
        evaluation: bool = False,
        label_cache: LabelCache | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        self.source = source
        self.preprocessing = preprocessing
        self.augment = augmentation.build(preprocessing.input_size, source.num_slots) if augmentation else None
        self.seed = seed
        self.labels = labels
        self.evaluation = evaluation
        self.training = labels and not evaluation
        self.label_cache = label_cache
        self.on_error = on_error
        self.skipped: dict[str, str] = {}
        self._full_size = self._size_before_reduction() if preprocessing.reduced_decode else None

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any] | Failure:
        """One sample: image and label are arrays, the rest is as in `LaneBatch`. A `Failure` if it cannot be loaded.

        Args:
            key: Number of the sample. A `SampleKey` also gives the epoch for the augmentation (otherwise it is 0).
        """
        index, epoch = key if isinstance(key, tuple) else (key, 0)
        try:
            return self._sample(index, epoch)
        except LgadError as error:
            instead = self._next(index, epoch) if self.training and self.on_error == "skip" else None
            return Failure(self.source.names[index], str(error), instead)

    def _next(self, index: int, epoch: int) -> dict[str, Any] | None:
        """The sample of the next image that can be loaded. None if none of the next 99 can be loaded."""
        for further in range(1, min(_PATIENCE, len(self))):
            with suppress(LgadError):
                return self._sample((index + further) % len(self), epoch)
        return None

    def report(self, failures: Sequence[Failure]) -> None:
        """Raises the first failure, or with `on_error="skip"` logs the failures and adds them to `skipped`.

        Args:
            failures: The failures of a batch.

        Raises:
            LgadError: If there is a failure and `on_error="raise"`.
        """
        for name, message, _ in failures:
            if self.on_error == "raise":
                raise LgadError(message)
            if name not in self.skipped:
                log.warning("Skipped: %s", message)
            self.skipped[name] = message

    def label(self, index: int) -> NDArray[np.uint8]:
        """Makes the label map of an image at the input size, without augmentation and without the cache.

        Args:
            index: Number of the sample.
        """
        return self.source.label(index, self._image(index)[1], self.preprocessing.input_size)

    def _sample(self, index: int, epoch: int) -> dict[str, Any]:
        image, frame = self._image(index)
        sample: dict[str, Any] = {"name": self.source.names[index], "frame": frame}
        if self.labels:
            cache = self.label_cache
            label = None if cache is None else self._cached(cache, index)
            if label is None:
                label = self.source.label(index, frame, self.preprocessing.input_size)
            if self.augment is not None:
                image, label = self.augment(image, label, (self.seed, epoch, index))
            present = [(label == slot).any() for slot in range(1, self.source.num_slots + 1)]
            sample |= {"label": label, "existence": np.array(present, np.float32)}
        if self.evaluation:
            sample["evaluation"] = self.source.evaluation(index, (frame.height, frame.width))
        return sample | {"image": image}

    def _cached(self, cache: LabelCache, index: int) -> NDArray[np.uint8] | None:
        """A label map from the cache. If the cache is damaged: None. The cache is then removed, to be made again."""
        try:
            return cache[index]
        except DamagedCacheError as error:
            log.warning("%s Until then label maps are made from their files.", error)
            self.label_cache = None
            with suppress(OSError):
                cache.path.unlink(missing_ok=True)
            return None

    def _image(self, index: int) -> tuple[Any, Frame]:
        """The image at the input size, and how it was cut from the original image."""
        image, size = self._decoded(index)
        return self.preprocessing.cut(image, size, self.source.names[index])

    def _decoded(self, index: int) -> tuple[Any, tuple[int, int] | None]:
        """The image. If it was decoded at half size, also its full size, otherwise None."""
        if self._full_size is not None:
            image = self.source.image(index, reduce=True)
            height, width = self._full_size
            if image.shape[:2] == ((height + 1) // 2, (width + 1) // 2):
                return image, self._full_size
        return self.source.image(index), None

    def _size_before_reduction(self) -> tuple[int, int]:
        """The full size of the first image. Images of other sizes are decoded at full size."""
        height, width = self._first_image().shape[:2]
        input_size, crop_top = self.preprocessing.input_size, self.preprocessing.crop_top
        if height - crop_top < 2 * input_size[0] or width < 2 * input_size[1]:
            raise LgadError(
                f"reduced_decode=true needs images of at least twice input_size={input_size}; "
                f"those of {self.source.root} have {height - crop_top} x {width} pixels after the crop."
            )
        return height, width

    def _first_image(self) -> Any:
        """The first image. With `on_error="skip"`: the first image that can be read."""
        for index in range(len(self)):
            try:
                return self.source.image(index)
            except LgadError:
                if self.on_error == "raise" or index == len(self) - 1:
                    raise
        raise LgadError(f"{self.source.root} has no images.")


def collate(samples: Sequence[dict[str, Any] | Failure]) -> dict[str, Any]:
    """Collates samples to a batch: arrays are stacked, other values become lists.

    Args:
        samples: Samples from a `LaneDataset`.

    Returns:
        A `LaneBatch` before its transfer to the device. The key `failures` holds the failures. It is the only key if
        no sample could be loaded.
    """
    failures = [sample for sample in samples if isinstance(sample, Failure)]
    given = [sample.instead if isinstance(sample, Failure) else sample for sample in samples]
    loaded = [sample for sample in given if sample is not None]
    if not loaded:
        return {"failures": failures}
    batch: dict[str, Any] = {key: [sample[key] for sample in loaded] for key in loaded[0]}
    for key in batch.keys() & {"image", "label", "existence"}:
        batch[key] = torch.from_numpy(np.stack(batch[key]))
    if "evaluation" in batch:
        batch["evaluation"] = {key: [part[key] for part in batch["evaluation"]] for key in batch["evaluation"][0]}
    return batch | {"failures": failures}
