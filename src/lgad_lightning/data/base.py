import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader

from lgad_lightning.data.augment import LaneAugmentation
from lgad_lightning.data.dataset import LaneBatch, LaneDataset
from lgad_lightning.data.kept_labels import KeptLabels
from lgad_lightning.data.loader import load_batches
from lgad_lightning.data.official import OfficialCounts
from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.data.protocol import CULANE, PIXELS, Protocol
from lgad_lightning.data.sampler import EpochSampler
from lgad_lightning.data.settings import check_choice, check_whole
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.data.stream import StreamSource, is_packed
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import batches_done

log = logging.getLogger(__name__)


class LaneDataModule(L.LightningDataModule, ABC):
    """Provides images with lane labels, as batches for teacher and student (see `LaneBatch`).

    For your own data set, override `source` (and `check`, to report early what is missing). The order of the training
    samples and their augmentation depend on seed, epoch and sample. They do not depend on the number of workers or on
    the point of resuming.

    Args:
        root: Folder of the data set. For a data set that `lgad-data pack` has packed: its folder or address
            (`s3://...`, `gs://...`).
        num_slots: Number of lane slots. The background is one more class. With one slot, all lanes are one class, and
            their pixels are scored (`PixelF1`).
        input_size: Height and width of the network's input in pixels.
        crop_top: Rows to cut off the top of every image, before resizing.
        batch_size: Images in a batch, per process.
        num_workers: Number of processes that load the data, per training process.
        mean: Mean of the channels, in units of `pixel_range`.
        std: Deviation of the channels, in units of `pixel_range`.
        channels: Order of the channels.
        pixel_range: Value of a white pixel before normalising.
        augmentation: The augmentation of training images. True: `LaneAugmentation()`. False: none.
        seed: Seed of order and augmentation.
        reduced_decode: Decode JPEGs at half size. They must be at least twice the input size. This is faster, but the
            pixels differ a little.
        label_cache: Folder for label maps of the input size, so that masks are decoded only once. None: no cache. It
            is made again if it is damaged, or if an image, a mask or a lane file has changed. If it cannot be written,
            there is a warning, and nothing is kept.
        on_error: What to do if the files of an image are missing or damaged: `raise` an error, or `skip` the image.
            Skipped images are logged and listed in `skipped`. In training, the next image takes the place.

    Raises:
        LgadError: If a setting is out of its range.

    Example:
        >>> class Notes(LaneDataModule):
        ...     def source(self, split):
        ...         raise NotImplementedError
        >>> Notes("data", num_slots=4, input_size=(208, 976), crop_top=240).num_classes
        5
    """

    protocol: Protocol = CULANE
    """How the lanes of the data set are decoded, scored and written."""

    layout: ClassVar[str | None] = None
    """The name of the file layout in `lgad-data --layout`. None: the layout is given as `package.Class`."""

    markers: ClassVar[tuple[str, ...]] = ()
    """Patterns of paths below the root. The layout is recognised if any of them exists."""

    slot_choices: ClassVar[tuple[int, ...]] = ()
    """The allowed numbers of slots. If it is empty, any number is allowed."""

    official: ClassVar[Mapping[str, OfficialCounts]] = {}
    """What the official release holds: by split, and by scenario (keys such as `test: night`)."""

    def __init__(
        self,
        root: str | Path,
        num_slots: int,
        input_size: tuple[int, int] = (288, 800),
        crop_top: int = 0,
        batch_size: int = 12,
        num_workers: int = 2,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        channels: Literal["rgb", "bgr"] = "rgb",
        pixel_range: float = 1.0,
        augmentation: LaneAugmentation | bool = True,
        seed: int = 0,
        reduced_decode: bool = False,
        label_cache: str | Path | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        super().__init__()
        self.root = Path(root).expanduser()
        self.url = str(root).rstrip("/") if "://" in str(root) else None
        self.num_slots = num_slots
        if num_slots == 1:
            self.protocol = PIXELS
        self.preprocessing = Preprocessing(
            input_size,
            crop_top,
            mean,
            std,
            channels,
            pixel_range,
            reduced_decode,
        )
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.augmentation = LaneAugmentation() if augmentation is True else augmentation or None
        self.seed = seed
        self.label_cache = Path(label_cache).expanduser() if label_cache is not None else None
        self._kept_labels = KeptLabels(self.label_cache, self.preprocessing.input_size)
        self.on_error = on_error
        self.datasets: dict[str, LaneDataset] = {}
        self._sources: dict[Split, LaneSource] = {}
        self._check_settings()

    def _check_settings(self) -> None:
        check_whole("num_slots", self.num_slots, 1, 254)
        check_whole("batch_size", self.batch_size, 1)
        check_whole("num_workers", self.num_workers, 0)
        check_whole("seed", self.seed, 0)
        check_choice("on_error", self.on_error, ("raise", "skip"))
        if self.augmentation is not None and not hasattr(self.augmentation, "build"):
            raise LgadError(f"augmentation={self.augmentation!r} must be true, false or a LaneAugmentation.")

    @abstractmethod
    def source(self, split: Split) -> LaneSource:
        """Returns the images and labels of a split, from the files. Subclasses override it; callers use `open`.

        Args:
            split: `train`, `val` or `test`.

        Raises:
            LgadError: If the images or labels cannot be found.
        """

    def open(self, split: Split) -> LaneSource:
        """Returns the images and labels of a split, from the files or from the packed data set (`lgad-data pack`).

        Lists and annotation files are read once. Later calls return the same object.

        Args:
            split: `train`, `val` or `test`.

        Raises:
            LgadError: If they cannot be found, if there are none, or if another data set was packed, or with other
                settings (`reading`).
        """
        source: LaneSource
        if self.packed is None:
            if split not in self._sources:  # large lists take a second
                self._sources[split] = self.source(split)
            source = self._sources[split]
        else:
            kinds = [kind.__name__ for kind in type(self).__mro__]
            source = StreamSource(f"{self.packed}/{split}", self.num_slots, kinds)
            reading = self._reading_of(source)
            if self.reading not in ("", reading):
                raise LgadError(
                    f"{self.packed} was packed with the settings{reading or ' of the default'}, not with"
                    f"{self.reading}: give the same, or pack the data set again."
                )
        if not len(source):
            raise LgadError(f"{source.root} has no images for {split}.")
        return source

    @property
    def packed(self) -> str | None:
        """The address of the packed data set. None if `root` is a folder of files."""
        return self.url or (str(self.root) if is_packed(self.root) else None)

    def check(self, splits: Iterable[Split] = SPLITS) -> None:
        """Checks quickly, before a training, that the data set is there.

        Args:
            splits: The splits that will be needed.

        Raises:
            LgadError: If something is missing. The message gives the folder, the expected layout, the key to set, and
                how to continue without data.
        """
        if self.packed and self.label_cache:
            raise LgadError(f"{self.packed} is packed, and has its label maps at hand: set label_cache to null.")
        for split in splits:
            source = self.open(split)
            for index in () if self.packed else (0, len(source) - 1):
                if not (path := source.root / source.names[index]).is_file():
                    raise LgadError(f"The first or last image of {split} is missing: {path}. {self.advice}")

    @property
    def advice(self) -> str:
        """The end of an error message: what to do about a missing data set."""
        return (
            "Set data.root=FOLDER (--data.root=FOLDER in lgad-cli, root=FOLDER in Python) to the folder of the data "
            "set. To try without data: lgad-fit without arguments generates its own."
        )

    @property
    def reading(self) -> str:
        """The settings that change the labels made from the same files, as text. It is empty by default."""
        return ""

    def _reading_of(self, source: LaneSource) -> str:
        """The settings that a source was read with. Packed data keep those of the packing, if they say them."""
        return source.facts.get("reading", self.reading) if isinstance(source, StreamSource) else self.reading

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return self.num_slots + 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class. The background is first."""
        return ("background", *(f"lane {slot}" for slot in range(1, self.num_classes)))

    @property
    def identity(self) -> str:
        """A short text that differs between data sets, and between geometries of one data set.

        Two modules with equal identity give equal label maps for equal images in training, apart from augmentation.
        Packing does not change the identity of a data set. `LaneSource.fingerprint` describes which files are read.
        """
        sources = [self.open(split) for split in SPLITS[:2]]
        reading = self._reading_of(sources[0])
        digest = hashlib.sha256(f"{self.preprocessing.geometry} {self.num_slots}{reading}".encode())
        for source in sources:
            digest.update(f"{source.stroke} {source.fingerprint()}".encode())
        return f"{type(self).__name__}-{digest.hexdigest()[:12]}"

    def prepare_data(self) -> None:
        """Checks the splits that the trainer will use, or all splits without a trainer.

        It also builds their label caches, unless the trainer only predicts.
        """
        needed: dict[object, tuple[Split, ...]] = {
            TrainerFn.FITTING: ("train", "val"),
            TrainerFn.VALIDATING: ("val",),
            TrainerFn.TESTING: ("test",),
            TrainerFn.PREDICTING: ("test",),
        }
        splits = needed.get(self.trainer and self.trainer.state.fn, SPLITS)
        self.check(splits)
        if not (self.trainer and self.trainer.state.fn == TrainerFn.PREDICTING):
            for split in splits if self.label_cache else ():
                dataset = self._dataset(split)
                self._kept_labels.build(self._labels_name(split, dataset.source), dataset)

    def setup(self, stage: str | None = None) -> None:
        """Opens the splits.

        Args:
            stage: `fit`, `validate`, `test` or `predict`. None: all of them.
        """
        if stage in (None, "fit"):
            self.datasets["train"] = self._dataset("train", cached=True, augmentation=self.augmentation)
        if stage in (None, "fit", "validate"):
            self.datasets["val"] = self._dataset("val", cached=True, evaluation=True)
        if stage in (None, "test"):
            self.datasets["test"] = self._dataset("test", cached=True, evaluation=True)
        if stage in (None, "predict"):
            self.datasets["predict"] = self._dataset("test", labels=False)

    def teardown(self, stage: str | None = None) -> None:
        """Logs how many images were skipped.

        Args:
            stage: Not used.
        """
        if self.skipped:
            log.warning("Skipped %d images that could not be loaded (on_error=skip).", len(self.skipped))

    @property
    def skipped(self) -> dict[str, str]:
        """The error messages of the images that were skipped so far, by name of the image."""
        return {name: error for dataset in self.datasets.values() for name, error in dataset.skipped.items()}

    def _dataset(self, split: Split, cached: bool = False, **options: Any) -> LaneDataset:
        source = self.open(split)
        return LaneDataset(
            source,
            self.preprocessing,
            seed=self.seed,
            label_cache=self._kept_labels.open(self._labels_name(split, source), source) if cached else None,
            on_error=self.on_error,
            **options,
        )

    def _labels_name(self, split: Split, source: LaneSource) -> str:
        """The name of the file with the label maps. It depends on all settings that change the label maps."""
        geometry = f"{self.root.resolve()} {self.preprocessing.geometry} {self.num_slots} {source.stroke}{self.reading}"
        digest = hashlib.sha256(geometry.encode(errors="surrogatepass")).hexdigest()
        return f"{type(self).__name__}-{digest[:12]}-{split}.labels"

    def train_dataloader(self) -> DataLoader[LaneBatch]:
        """Batches in a new order in every epoch. A last batch with less than `batch_size` images is left out."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[LaneBatch]:
        """Batches with what the metric needs."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[LaneBatch]:
        """Batches with what the metric needs."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[LaneBatch]:
        """The test images without labels."""
        return self._loader("predict")

    def _loader(self, split: str) -> DataLoader[LaneBatch]:
        ranks = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = EpochSampler(self.datasets[split], self.seed, split == "train", *ranks)
        if (trainer := self.trainer) and split == "train":
            sampler.seen = lambda: batches_done(trainer) * self.batch_size
        return load_batches(self.datasets[split], sampler, self.batch_size, self.num_workers, train=split == "train")

    def on_after_batch_transfer(self, batch: LaneBatch, dataloader_idx: int) -> LaneBatch:
        """Converts pixels to the input of the network, on the device.

        Args:
            batch: A batch from `collate`. It is changed in place.
            dataloader_idx: Not used.
        """
        batch["image"] = self.preprocessing.normalise(batch["image"])
        if self.trainer:  # for `precision=64-true`: the trainer converts a batch before, when it is still uint8
            batch["image"] = self.trainer.precision_plugin.convert_input(batch["image"])
        if "label" in batch:
            batch["label"] = batch["label"].long()
        return batch
