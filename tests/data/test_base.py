import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import jsonargparse
import lightning as L
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint

from lgad_lightning.data import CULaneDataModule, LaneAugmentation, LaneDataModule, LaneSource, SyntheticLaneDataModule
from lgad_lightning.data.sampler import SampleKey
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane

SIZE = (36, 80)


def module(root: Path, **options: Any) -> CULaneDataModule:
    return CULaneDataModule(root, **({"input_size": SIZE, "batch_size": 2, "num_workers": 0} | options))


def loaded(data: LaneDataModule, split: str = "train") -> list[Any]:
    data.setup()
    return [data.on_after_batch_transfer(batch, 0) for batch in getattr(data, f"{split}_dataloader")()]


def test_batches_are_what_the_modules_expect(roads: Path) -> None:
    batches = loaded(module(roads, crop_top=48))
    assert len(batches) == 6
    batch = batches[0]
    assert batch["image"].shape == (2, 3, *SIZE)
    assert batch["image"].dtype == torch.float32
    assert batch["label"].shape == (2, *SIZE)
    assert batch["label"].dtype == torch.int64
    assert set(batch["label"].unique().tolist()) <= {0, 1, 2, 3, 4, 255}
    assert batch["existence"].shape == (2, 4)
    assert batch["frame"] == [Frame(118, 328, 48)] * 2
    assert all((roads / name).is_file() for name in batch["name"])
    assert "evaluation" not in batch


def test_batches_travel_as_bytes(roads: Path) -> None:
    data = module(roads)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].dtype == batch["label"].dtype == torch.uint8


def test_validation_brings_what_the_metric_needs(roads: Path) -> None:
    batch = loaded(module(roads), "test")[0]
    assert set(batch["evaluation"]) == {"target", "images", "scenarios"}
    assert batch["evaluation"]["images"] == batch["name"]
    assert isinstance(batch["evaluation"]["target"][0][0], Lane)
    assert batch["evaluation"]["target"][0][0].image_size == (118, 328)
    assert set(loaded(module(roads), "val")[0]["evaluation"]) == {"target", "images"}


def test_prediction_needs_no_labels(roads: Path) -> None:
    assert set(loaded(module(roads), "predict")[0]) == {"image", "name", "frame"}


def test_existence_says_what_the_label_shows(roads: Path) -> None:
    data = module(roads, augmentation=LaneAugmentation(flip=0.5, rotate=20, zoom=2.5), batch_size=1)
    seen = set()
    for batch in loaded(data):
        classes = set(batch["label"].unique().tolist())
        assert batch["existence"][0].tolist() == [float(slot in classes) for slot in (1, 2, 3, 4)]
        seen.add(tuple(batch["existence"][0].tolist()))
    assert len(seen) > 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": "bgr", "pixel_range": 255.0, "mean": (103.939, 116.779, 123.68), "std": (1, 1, 1)},
        {"mean": (0.3598, 0.3653, 0.3662), "std": (0.2573, 0.2663, 0.2756)},
    ],
)
def test_normalisation_of_the_recipes(roads: Path, options: dict[str, Any]) -> None:
    data = module(roads, augmentation=False, **options)
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    ordered = image if options.get("channels") == "bgr" else image[..., ::-1]
    scaled = ordered / 255 * options.get("pixel_range", 1.0)
    expected = (scaled - data.preprocessing.mean) / data.preprocessing.std
    normalised = data.preprocessing.normalise(torch.from_numpy(image))
    assert normalised.is_contiguous()
    np.testing.assert_allclose(normalised.permute(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-4)


def test_pixels_come_unchanged_from_the_file(roads: Path) -> None:
    data = module(roads, input_size=(118, 328), augmentation=False, mean=(0, 0, 0), std=(1, 1, 1), channels="bgr")
    batch = loaded(data, "val")[0]
    image = cv2.imread(str(roads / batch["name"][0]))
    assert np.array_equal((batch["image"][0] * 255).round().byte().permute(1, 2, 0), image)


class Recorder(L.LightningModule):
    """Writes down what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.shown: list[tuple[int, list[str], int]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        content = hash((batch["image"].numpy().tobytes(), batch["label"].numpy().tobytes()))
        self.shown.append((self.current_epoch, batch["name"], content))
        return self.weight.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(root: Path, folder: Path, epochs: int, workers: int, resume: Path | None = None, seed: int = 0) -> Recorder:
    recorder = Recorder()
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[ModelCheckpoint(folder, save_last=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(recorder, datamodule=module(root, num_workers=workers, seed=seed), ckpt_path=resume)
    return recorder


def test_stream_depends_on_seed_and_epoch_alone(roads: Path, tmp_path: Path) -> None:
    shown = train(roads, tmp_path / "a", epochs=3, workers=0).shown
    assert train(roads, tmp_path / "b", epochs=3, workers=2).shown == shown
    assert train(roads, tmp_path / "c", epochs=1, workers=0, seed=1).shown != shown[:6]
    by_name = {(epoch, *names): content for epoch, names, content in shown}
    assert len(set(by_name.values())) == 18  # no augmentation comes twice


def test_every_epoch_seed_and_image_draw_anew(roads: Path, tmp_path: Path) -> None:
    """All images are one picture, so that what differs is the augmentation."""
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    frames = sorted(copy.rglob("train_000.MP4/*"))
    for path in frames:
        first = next(other for other in frames if other.suffix == path.suffix and other.parent == path.parent)
        if path != first:
            shutil.copyfile(first, path)

    def drawn(seed: int) -> list[bytes]:
        data = module(copy, seed=seed)
        data.setup("fit")
        dataset = data.datasets["train"]
        return [dataset[SampleKey(sample, epoch)]["image"].tobytes() for sample in (0, 1, 2) for epoch in (0, 1, 2)]

    assert drawn(0) == drawn(0)
    assert len({*drawn(0), *drawn(1)}) == 18


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_training_sees_what_it_would_have_seen(roads: Path, tmp_path: Path, workers: int) -> None:
    whole = train(roads, tmp_path / "whole", epochs=3, workers=workers).shown
    train(roads, tmp_path / "part", epochs=1, workers=workers)
    rest = train(roads, tmp_path / "rest", epochs=3, workers=workers, resume=tmp_path / "part" / "last.ckpt").shown
    assert rest == whole[6:]


@pytest.mark.parametrize(("split", "images"), [("train", 12), ("test", 9)])
def test_processes_share_the_images(roads: Path, split: str, images: int) -> None:
    shares = []
    for rank in range(2):
        data = module(roads, batch_size=1)
        alone = L.Trainer(accelerator="cpu", logger=False)
        parts = {"fit_loop": alone.fit_loop, "precision_plugin": alone.precision_plugin}
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank, **parts)  # type: ignore[assignment]
        shares.append([batch["name"][0] for batch in loaded(data, split)])
    assert len(shares[0]) + len(shares[1]) == len({*shares[0], *shares[1]}) == images


def test_lightning_leaves_the_sampler_in_place(roads: Path) -> None:
    data = module(roads)
    data.setup()
    assert isinstance(data.train_dataloader().sampler, torch.utils.data.DistributedSampler)


def test_a_last_small_batch_is_left_out_of_training_only(roads: Path) -> None:
    assert [len(batch["name"]) for batch in loaded(module(roads, batch_size=5))] == [5, 5]
    assert [len(batch["name"]) for batch in loaded(module(roads, batch_size=5), "test")] == [5, 4]
    assert [len(batch["name"]) for batch in loaded(module(roads, batch_size=50))] == [12]


def test_identity_follows_data_and_geometry(roads: Path, tmp_path: Path) -> None:
    assert module(roads).identity == module(roads, batch_size=7, num_workers=3).identity
    others = [module(roads, input_size=(40, 80)), module(roads, crop_top=20)]
    assert len({module(roads).identity, *(other.identity for other in others)}) == 3
    copy = Path(shutil.copytree(roads, tmp_path / "copy"))
    assert module(copy).identity == module(roads).identity
    shutil.rmtree(copy / "laneseg_label_w16")
    assert module(copy).identity != module(roads).identity


def test_a_crop_that_leaves_nothing_is_an_error(roads: Path) -> None:
    data = module(roads, crop_top=118)
    with pytest.raises(LgadError, match="crop_top=118"):
        loaded(data)


def test_reduced_decoding_changes_pixels_little(roads: Path) -> None:
    full, reduced = (module(roads, augmentation=False, reduced_decode=flag) for flag in (False, True))
    for one, other in zip(loaded(full, "test"), loaded(reduced, "test"), strict=True):
        assert one["frame"] == other["frame"]
        assert torch.equal(one["label"], other["label"])
        assert 0 < (one["image"] - other["image"]).abs().mean() < 0.1


def test_reduced_decoding_needs_large_images(roads: Path) -> None:
    with pytest.raises(LgadError, match="reduced_decode"):
        module(roads, input_size=(100, 300), reduced_decode=True).setup("fit")


def test_synthetic_roads_are_generated_where_they_are_missing(tmp_path: Path) -> None:
    options = {"train": 2, "val": 1, "test": 9, "image_size": (60, 164), "input_size": SIZE, "num_workers": 0}
    data = SyntheticLaneDataModule(tmp_path / "made", **options)
    data.prepare_data()
    assert [len(loaded(data, split)) for split in ("train", "val", "test")] == [1, 1, 1]


def test_arguments_are_seen_by_both_front_ends(roads: Path) -> None:
    target = "lgad_lightning.data.CULaneDataModule"
    options = {"batch_size": 3, "input_size": [36, 80], "augmentation": {"class_path": "LaneAugmentation"}}
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LaneDataModule, "data")
    arguments = {"class_path": target, "init_args": {"root": str(roads), **options}}
    made = parser.instantiate_classes(parser.parse_object({"data": arguments})).data
    assert (made.batch_size, made.preprocessing.input_size, type(made.augmentation)) == (3, SIZE, LaneAugmentation)

    augmentation = {"_target_": "lgad_lightning.data.LaneAugmentation", "flip": 0.0}
    made = instantiate(
        {"_target_": target, "root": str(roads), **options, "augmentation": augmentation}, _convert_="all"
    )
    assert (made.batch_size, made.preprocessing.input_size, made.augmentation.flip) == (3, SIZE, 0.0)


class Diagonals(LaneSource):
    """The documented way to add a data set of one's own: one class."""

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        height, width = image_size
        return [Lane([[0, 0], [width, height]], image_size)]

    def slots(self, index: int, lanes: Any) -> Any:
        return [None, *lanes]


class DiagonalDataModule(LaneDataModule):
    def source(self, split: str) -> Diagonals:
        return Diagonals(self.root, sorted(path.name for path in self.root.glob("*.png")), num_slots=2)


def test_a_data_set_of_ones_own(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 50, 3), np.uint8))
    data = DiagonalDataModule(tmp_path, num_slots=2, input_size=SIZE, batch_size=2, num_workers=0, augmentation=False)
    data.prepare_data()
    (batch,) = loaded(data)
    assert batch["existence"].tolist() == [[0, 1], [0, 1]]
    assert batch["label"][0, 18, 40] == 2


@pytest.mark.parametrize(("precision", "dtype"), [("64-true", torch.float64), ("bf16-true", torch.bfloat16)])
def test_images_have_the_precision_of_the_trainer(roads: Path, tmp_path: Path, precision: Any, dtype: Any) -> None:
    class Sees(L.LightningModule):
        def predict_step(self, batch: Any) -> torch.dtype:
            image: torch.Tensor = batch["image"]
            return image.dtype

    data = CULaneDataModule(roads, input_size=(32, 96), num_workers=0)
    trainer = L.Trainer(default_root_dir=tmp_path, precision=precision, logger=False, enable_progress_bar=False)
    assert set(trainer.predict(Sees(), data) or ()) == {dtype}
