import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lgad_lightning.data.dataset import LaneDataset
from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.data.protocol import TUSIMPLE
from lgad_lightning.data.tusimple import TuSimpleDataModule, TuSimpleSource
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame

ROWS = {56: list(range(160, 711, 10)), 48: list(range(240, 711, 10))}


def straight(bottom: float, rows: list[int]) -> list[float]:
    """A lane from the vanishing point (640, 150) to `bottom` in row 720, where it is inside the image."""
    xs = [640 + (bottom - 640) * (row - 150) / 570 for row in rows]
    return [round(x) if 0 <= x < 1280 else -2 for x in xs]


def label_line(name: str, bottoms: list[float], rows: list[int]) -> str:
    lanes = [straight(bottom, rows) for bottom in bottoms]
    return json.dumps({"lanes": lanes, "h_samples": rows, "raw_file": name}) + "\n"


@pytest.fixture(params=["original", "kaggle"])
def tusimple(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    train, test = (
        (tmp_path, tmp_path) if request.param == "original" else (tmp_path / "train_set", tmp_path / "test_set")
    )
    files = {
        train / "label_data_0313.json": ("clips/a/1/20.jpg", [-600, 300, 1000, 1900], 56),
        train / "label_data_0601.json": ("clips/b/1/20.jpg", [300, 1000], 48),
        train / "label_data_0531.json": ("clips/c/1/20.jpg", [-1500, -600, 300, 1000, 1900], 56),
        test / "test_label.json": ("clips/a/1/20.jpg" if test != train else "clips/d/1/20.jpg", [300, 1000], 56),
    }
    for grey, (path, (name, bottoms, rows)) in enumerate(files.items()):
        path.parent.mkdir(exist_ok=True)
        path.write_text(label_line(name, bottoms, ROWS[rows]))
        (path.parent / name).parent.mkdir(parents=True)
        cv2.imwrite(str(path.parent / name), np.full((720, 1280, 3), 40 * grey, np.uint8))
    return tmp_path


def test_both_layouts_are_read(tusimple: Path) -> None:
    module = TuSimpleDataModule(tusimple, input_size=(72, 128), batch_size=1, num_workers=0, augmentation=False)
    module.prepare_data()
    module.setup()
    assert [len(module.datasets[split]) for split in ("train", "val", "test")] == [2, 1, 1]
    batch = module.on_after_batch_transfer(next(iter(module.test_dataloader())), 0)
    assert batch["label"].unique().tolist() == [0, 3, 4]
    assert batch["existence"].tolist() == [[0, 0, 1, 1, 0, 0]]
    assert batch["evaluation"]["h_samples"] == [tuple(ROWS[56])]
    assert batch["name"] == batch["evaluation"]["images"]  # so that the official evaluator takes the predictions
    assert batch["name"][0].startswith("clips/")


def test_clips_of_the_same_name_are_not_mixed_up(tusimple: Path) -> None:
    module = TuSimpleDataModule(tusimple)
    train, test = module.source("train"), module.source("test")
    assert train.image(0).max() != test.image(0).max()


def test_labels_with_48_rows(tusimple: Path) -> None:
    label = TuSimpleDataModule(tusimple).source("train").label(1, Frame(720, 1280), (720, 1280))
    assert set(np.unique(label)) == {0, 3, 4}
    assert not label[:225].any()
    assert label[240:700].any(axis=1).all()


@pytest.mark.parametrize(("slots", "classes"), [(4, {0, 1, 2, 3, 4}), (6, {0, 1, 2, 3, 4, 5})])
def test_five_lanes_in_four_or_six_slots(tusimple: Path, slots: int, classes: set[int]) -> None:
    label = TuSimpleDataModule(tusimple, num_slots=slots).source("val").label(0, Frame(720, 1280), (720, 1280))
    assert set(np.unique(label)) == classes


def test_a_lane_that_is_nowhere_visible(tusimple: Path) -> None:
    path = next(tusimple.rglob("test_label.json"))
    record = json.loads(path.read_text())
    record["lanes"].append([-2] * 56)
    path.write_text(json.dumps(record))
    source = TuSimpleDataModule(tusimple).source("test")
    assert [len(lane) > 0 for lane in source.lanes(0, (720, 1280))] == [True, True, False]
    assert set(np.unique(source.label(0, Frame(720, 1280), (720, 1280)))) == {0, 3, 4}


def test_missing_data_says_all_that_helps(tmp_path: Path) -> None:
    with pytest.raises(LgadError) as error:
        TuSimpleDataModule(tmp_path / "nothing").prepare_data()
    for part in (str(tmp_path / "nothing"), "train_set", "label_data_0313.json", "data.root=", "lgad-fit without"):
        assert part in str(error.value)


def test_other_numbers_of_slots_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="num_slots=5"):
        TuSimpleDataModule(tmp_path, num_slots=5)


def test_missing_images_are_noticed_before_training(tusimple: Path) -> None:
    shutil.rmtree(next(tusimple.rglob("clips/b")))
    with pytest.raises(LgadError, match=r"clips/b/1/20\.jpg"):
        TuSimpleDataModule(tusimple).prepare_data()


def test_real_label_files(shared_dir: Path) -> None:
    module = TuSimpleDataModule(shared_dir / "real/tusimple")
    sizes = {split: len(module.source(split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 3268, "val": 358, "test": 2782}


def test_real_frames(shared_dir: Path) -> None:
    root = shared_dir / "real/tusimple"
    dataset = LaneDataset(TuSimpleSource(root, "train", 6, ["label_data_subset.json"]), Preprocessing((368, 640)))
    assert len(dataset) == 6
    for index in range(6):
        sample = dataset[index]
        assert sample["existence"][2:4].tolist() == [1, 1]
        assert 0.01 < (sample["label"] > 0).mean() < 0.1


def test_label_files_may_be_named_one_by_one(tusimple: Path) -> None:
    assert len(TuSimpleDataModule(tusimple, labels={"train": "label_data_0601.json"}).open("train")) == 1
    with pytest.raises(LgadError, match="validation"):
        TuSimpleDataModule(tusimple, labels={"validation": "a.json"})


def test_lanes_are_found_in_the_rows_of_the_labels(tmp_path: Path) -> None:
    """Images of another height have other rows."""
    rows = list(range(96, 285, 4))
    for name in ("label_data_0313.json", "label_data_0531.json", "label_data_0601.json", "test_label.json"):
        (tmp_path / name).write_text("")
    line = {"lanes": [[60 + row // 4 for row in rows]], "h_samples": rows, "raw_file": "clips/a/20.jpg"}
    (tmp_path / "test_label.json").write_text(json.dumps(line) + "\n")
    (tmp_path / "clips" / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "clips" / "a" / "20.jpg"), np.zeros((288, 512, 3), np.uint8))
    module = TuSimpleDataModule(tmp_path, input_size=(144, 256))
    assert module.protocol.decoder().h_samples == tuple(rows)
    assert pickle.loads(pickle.dumps(module)).protocol.decoder().h_samples == tuple(rows)
    source = module.open("test")
    label = torch.from_numpy(source.label(0, Frame(288, 512), (144, 256))).long()
    planes = torch.nn.functional.one_hot(label, 7).permute(2, 0, 1)[None].float()
    (lanes,) = module.protocol.decoder()(planes, None, [Frame(288, 512)])
    metric = module.protocol.metric()
    metric.update([lanes], **{key: [value] for key, value in source.evaluation(0, (288, 512)).items()})
    assert metric.compute()["accuracy"] > 0.9


def test_the_official_rows_are_the_official_protocol(tusimple: Path) -> None:
    assert TuSimpleDataModule(tusimple).protocol is TUSIMPLE
    assert TuSimpleDataModule(tusimple / "nowhere").protocol is TUSIMPLE
