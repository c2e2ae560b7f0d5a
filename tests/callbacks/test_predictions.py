from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from lgad_lightning import LaneStudent, SyntheticLaneDataModule
from lgad_lightning.callbacks import LanePredictionWriter
from lgad_lightning.data.prediction_files import check_names
from lgad_lightning.data.protocol import TUSIMPLE
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULaneDecoder, Frame, Lane, read_lines, read_tusimple
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy
from lgad_lightning.networks import ERFNet

ROWS = tuple(range(240, 711, 10))
LANE = Lane([(300 + row / 7, row) for row in ROWS], (720, 1280))


class Always(CULaneDecoder):
    """Finds the same lane in the first image of every batch."""

    def __call__(self, probabilities: Any, existence: Any, frames: Any) -> list[list[Lane]]:
        return [[LANE], *([] for _ in frames[1:])]


def batches(names: Any = ("clips/a/20.jpg", "clips/b/20.jpg"), **evaluation: Any) -> DataLoader[Any]:
    names = list(names)
    batch = {
        "image": torch.zeros(2, 3, 32, 96),
        "label": torch.zeros(2, 32, 96, dtype=torch.long),
        "existence": torch.zeros(2, 6),
        "name": names,
        "frame": [Frame(720, 1280)] * 2,
        "evaluation": {"target": [[LANE], []], "images": names, **evaluation},
    }
    return DataLoader([batch], batch_size=None)


def trainer(folder: Path, format: Any) -> L.Trainer:
    writer = LanePredictionWriter(folder / "predictions", format)
    return L.Trainer(
        accelerator="cpu", logger=False, default_root_dir=folder, enable_progress_bar=False, callbacks=[writer]
    )


def student(metric: Any) -> LaneStudent:
    return LaneStudent(ERFNet(7, input_size=(32, 96), channels=(8, 16, 24)), Always(), metric)


def test_writes_a_culane_file_for_every_image(tmp_path: Path) -> None:
    trainer(tmp_path, "culane").test(student(CULaneF1()), batches(), verbose=False)
    assert read_lines(tmp_path / "predictions/clips/a/20.lines.txt", (720, 1280)) == [LANE]
    assert read_lines(tmp_path / "predictions/clips/b/20.lines.txt") == []


def test_writes_tusimple_frames_at_the_labels_rows_with_their_run_time(tmp_path: Path) -> None:
    loader = batches(h_samples=[ROWS, ROWS])
    trainer(tmp_path, "tusimple").test(student(TuSimpleAccuracy()), loader, verbose=False)
    first, second = read_tusimple(tmp_path / "predictions/predictions.json")
    assert (first.raw_file, first.lanes, first.h_samples) == ("clips/a/20.jpg", [LANE], ROWS)
    assert (second.raw_file, second.lanes, second.h_samples) == ("clips/b/20.jpg", [], ROWS)
    assert 0 < first.run_time == second.run_time


def test_predicting_writes_too(tmp_path: Path) -> None:
    trainer(tmp_path, "tusimple").predict(student(TuSimpleAccuracy()), batches())
    assert len(read_tusimple(tmp_path / "predictions/predictions.json")) == 2


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="'culane' or 'tusimple'"):
        LanePredictionWriter(tmp_path, "llamas")  # type: ignore[arg-type]


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    beside = tmp_path / "images" / "0.lines.txt"
    beside.parent.mkdir()
    beside.write_text("1 2 3 4\n")
    above = tmp_path / "0.lines.txt"
    above.write_text("1 2 3 4\n")
    loader = batches([f"{tmp_path}/images/0.jpg", "../0.jpg"])
    trainer(tmp_path, "culane").test(student(CULaneF1()), loader, verbose=False)
    assert beside.read_text() == above.read_text() == "1 2 3 4\n"
    predictions = tmp_path / "predictions"
    assert read_lines(predictions / f"{tmp_path}/images/0.lines.txt".lstrip("/"), (720, 1280)) == [LANE]
    assert read_lines(predictions / "__" / "0.lines.txt") == []


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    trainer(tmp_path, "culane").test(student(CULaneF1()), batches(), verbose=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "predictions" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LgadError, match="leads out of"):
        trainer(tmp_path, "culane").test(student(CULaneF1()), batches(["link/0.jpg", "b.jpg"]), verbose=False)
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("format", ["culane", "tusimple"])
def test_a_folder_of_others_is_refused_and_one_of_predictions_is_replaced(tmp_path: Path, format: Any) -> None:
    notes = tmp_path / "predictions" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(LgadError, match="They are not replaced"):
        trainer(tmp_path, format).test(student(CULaneF1()), batches(), verbose=False)
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]
    notes.unlink()
    for _ in range(2):
        trainer(tmp_path, format).test(student(CULaneF1()), batches(), verbose=False)


@pytest.mark.parametrize("format", ["culane", "tusimple"])
def test_predictions_of_two_tests_are_not_mixed(tmp_path: Path, format: Any) -> None:
    for names in (["a/0.jpg", "a/1.jpg"], ["b/0.jpg", "b/1.jpg"]):
        trainer(tmp_path, format).test(student(CULaneF1()), batches(names), verbose=False)
    left = [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "predictions").rglob("*.*[nt]"))]
    culane = ["predictions/b/0.lines.txt", "predictions/b/1.lines.txt"]
    assert left == (culane if format == "culane" else ["predictions/predictions.json"])
    (tmp_path / "predictions" / ".lgad-predictions").write_text('Predicted lanes.\n{"model": "x"}\n')
    with pytest.raises(LgadError, match="holds predictions of lgad-predict"):
        trainer(tmp_path, format).test(student(CULaneF1()), batches(names), verbose=False)
    with pytest.raises(LgadError, match="holds predictions of lgad-predict"):  # before the training
        trainer(tmp_path, format).fit(student(CULaneF1()), batches(names))
    assert len(list((tmp_path / "predictions").rglob("*.*[nt]"))) == len(left)


def test_two_images_never_share_a_file() -> None:
    check_names(["a/0.jpg", "a/0.jpg", "b/0.jpg"])
    for names in (["a/0.jpg", "a/0.png"], ["../0.jpg", "__/0.jpg"], ["a/0.jpg", "/a/0.jpg"]):
        with pytest.raises(LgadError, match="one file"):
            check_names(names)
    for name in ("", "/", "a\0.jpg"):
        with pytest.raises(LgadError, match="no name of an image"):
            check_names([name])


def test_the_format_is_that_of_the_data(tmp_path: Path, tiny_root: Path) -> None:
    class Scored(SyntheticLaneDataModule):
        protocol = TUSIMPLE

    for kind, written in ((SyntheticLaneDataModule, "*.lines.txt"), (Scored, "predictions.json")):
        folder = tmp_path / kind.__name__
        data = kind(
            tiny_root, train=16, val=4, test=9, image_size=(148, 410), input_size=(32, 96), batch_size=4, num_workers=0
        )
        network = ERFNet(5, input_size=(32, 96), channels=(8, 16, 24))
        trainer(folder, None).predict(LaneStudent(network), data)
        assert list((folder / "predictions").rglob(written))


def test_a_fit_needs_no_test_images(tmp_path: Path) -> None:
    class NoTest(SyntheticLaneDataModule):
        def open(self, split: str) -> Any:
            assert split != "test"
            return super().open(split)

    data = NoTest(tmp_path / "roads", train=4, val=2, test=9, image_size=(148, 410), input_size=(32, 96), crop_top=48,
                  batch_size=2, num_workers=0)  # fmt: skip
    module = LaneStudent(ERFNet(5, input_size=(32, 96), channels=(8, 16, 24)))
    writer = LanePredictionWriter(tmp_path / "predictions")
    L.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False, max_epochs=1,
              enable_model_summary=False, callbacks=[writer]).fit(module, data)  # fmt: skip


def test_a_test_that_was_interrupted_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    class Stops(LaneStudent):
        def test_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx:
                raise KeyboardInterrupt
            return super().test_step(batch, batch_idx)

    def test(module: LaneStudent, *names: tuple[str, str]) -> None:
        loader = DataLoader([next(iter(batches(pair, h_samples=[ROWS, ROWS]))) for pair in names], batch_size=None)
        evaluator.test(module, loader, verbose=False)

    evaluator = trainer(tmp_path, "tusimple")
    parts = ERFNet(7, input_size=(32, 96), channels=(8, 16, 24)), Always(), TuSimpleAccuracy()
    with pytest.raises(SystemExit):
        test(Stops(*parts), ("a.jpg", "b.jpg"), ("c.jpg", "d.jpg"))
    test(student(TuSimpleAccuracy()), ("e.jpg", "f.jpg"))
    assert {frame.raw_file for frame in read_tusimple(tmp_path / "predictions/predictions.json")} == {"e.jpg", "f.jpg"}
