import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.data.culane import CULaneDataModule, CULaneSource
from lgad_lightning.data.source import LaneSource
from lgad_lightning.data.synthetic import SCENARIOS
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane, read_lines, write_lines
from lgad_lightning.lanes.compact_strings import Strings


@pytest.fixture
def copy(roads: Path, tmp_path: Path) -> Path:
    """A data set to break."""
    return Path(shutil.copytree(roads, tmp_path / "copy"))


def test_masks_are_cut_and_resized_like_images(roads: Path) -> None:
    source = CULaneSource(roads, "train")
    mask = cv2.imread(str(roads / "laneseg_label_w16" / source.names[0].replace(".jpg", ".png")), -1)
    label = source.label(0, Frame(118, 328, crop_top=48), (35, 164))
    assert np.array_equal(label, cv2.resize(mask[48:], (164, 35), interpolation=cv2.INTER_NEAREST_EXACT))


def test_labels_are_drawn_from_lanes_where_there_are_no_masks(copy: Path) -> None:
    with_masks = CULaneSource(copy, "train")
    frame, size = Frame(118, 328), (118, 328)
    masks = [with_masks.label(index, frame, size) for index in range(len(with_masks))]
    shutil.rmtree(copy / "laneseg_label_w16")
    drawn = CULaneSource(copy, "train")
    for index, mask in enumerate(masks):
        label = drawn.label(index, frame, size)
        assert np.unique(label).tolist() == np.unique(mask).tolist()
        assert np.count_nonzero(label != mask) <= 0.15 * np.count_nonzero(mask)


def test_a_missing_mask_is_an_error_that_names_it(copy: Path) -> None:
    source = CULaneSource(copy, "train")
    path = copy / "laneseg_label_w16" / source.names[3].replace(".jpg", ".png")
    path.unlink()
    with pytest.raises(LgadError, match=str(path)):
        source.label(3, Frame(118, 328), (118, 328))


def test_a_mask_of_another_size_is_an_error(copy: Path) -> None:
    source = CULaneSource(copy, "train")
    path = copy / "laneseg_label_w16" / source.names[3].replace(".jpg", ".png")
    cv2.imwrite(str(path), np.zeros((59, 164), np.uint8))
    with pytest.raises(LgadError, match=r"59 x 164 .* 118 x 328"):
        source.label(3, Frame(118, 328), (118, 328))


def test_test_images_know_their_scenario(roads: Path) -> None:
    source = CULaneSource(roads, "test")
    facts = [source.evaluation(index, (118, 328)) for index in range(9)]
    assert [fact["scenarios"] for fact in facts] == list(SCENARIOS)
    assert [fact["images"] for fact in facts] == list(source.names)
    assert [len(fact["target"]) > 0 for fact in facts] == [scenario != "cross" for scenario in SCENARIOS]


def test_validation_has_no_scenarios(roads: Path) -> None:
    assert set(CULaneSource(roads, "val").evaluation(0, (118, 328))) == {"target", "images"}


def test_an_image_in_no_scenario_is_an_error(copy: Path) -> None:
    (copy / "list/test_split/test4_noline.txt").write_text("")
    with pytest.raises(LgadError, match=r"list/test_split"):
        CULaneSource(copy, "test")


def test_without_scenario_lists_there_are_none(copy: Path) -> None:
    shutil.rmtree(copy / "list/test_split")
    assert "scenarios" not in CULaneSource(copy, "test").evaluation(0, (118, 328))


def test_a_missing_root_says_all_that_helps(tmp_path: Path) -> None:
    with pytest.raises(LgadError) as error:
        CULaneDataModule(tmp_path / "nothing").prepare_data()
    for part in (str(tmp_path / "nothing"), "list/train_gt.txt", "data.root=", "lgad-fit without arguments"):
        assert part in str(error.value)


def test_missing_images_are_noticed_before_training(copy: Path) -> None:
    shutil.rmtree(next(copy.glob("driver_*")) / "val_000.MP4")
    module = CULaneDataModule(copy)
    module.check(["train", "test"])
    with pytest.raises(LgadError, match=r"val_000\.MP4/00000\.jpg"):
        module.check()


def test_lists_are_kept_compactly(tmp_path: Path) -> None:
    """Workers would copy a list of Python strings; two arrays stay shared."""
    names = [f"driver_{number:06d}_90frame/06030819_0755.MP4/00000.jpg" for number in range(5000)]
    (tmp_path / "list").mkdir()
    (tmp_path / "list/train.txt").write_text("\n".join(names))
    source = CULaneSource(tmp_path, "train")
    assert isinstance(source.names, Strings)
    assert list(source.names) == names
    assert len(pickle.dumps(source)) < 5000 * (len(names[0]) + 10)


def test_real_lists_at_full_size(shared_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "list").symlink_to(shared_dir / "real/culane/list_full")
    source = CULaneSource(tmp_path, "test")
    assert len(source) == 34_680
    counts = np.bincount(source._scenario).tolist()  # type: ignore[arg-type]
    assert dict(zip(source.scenarios, counts, strict=True)) == dict(
        zip(SCENARIOS, (9621, 8113, 486, 930, 4067, 890, 422, 3122, 7029), strict=True)
    )
    assert len(CULaneSource(tmp_path, "val")) == 9_675


def test_real_masks_and_lanes_agree(shared_dir: Path) -> None:
    """Labels drawn from lanes differ from the official masks on 1.5 % of the masks' lane pixels."""
    source = CULaneSource(shared_dir / "real/culane", "train")
    frame, size = Frame(590, 1640), (590, 1640)
    differing = painted = 0
    for index in range(len(source)):
        mask, drawn = source.label(index, frame, size), LaneSource.label(source, index, frame, size)
        differing += np.count_nonzero(mask != drawn)
        painted += np.count_nonzero(mask)
    assert differing / painted < 0.02


def test_a_lane_of_two_points_has_a_label(copy: Path) -> None:
    shutil.rmtree(copy / "laneseg_label_w16")
    path = sorted(copy.rglob("train_000.MP4/*.lines.txt"))[0]
    path.write_text("50 110 180 40\n")
    source = CULaneSource(copy, "train")
    label = source.label(0, Frame(118, 328), (118, 328))
    rows = np.flatnonzero(label.any(axis=1))
    assert 38 <= rows.min() < 46  # it ends 2 of 118 rows, and half the stroke, from its top
    assert rows.max() >= 109


def test_an_image_in_two_scenarios_is_an_error(copy: Path) -> None:
    first, second = sorted((copy / "list/test_split").glob("*.txt"))[:2]
    second.write_text(second.read_text() + first.read_text())
    with pytest.raises(LgadError, match="an image has one scenario"):
        CULaneSource(copy, "test")


def test_labels_do_not_depend_on_the_end_at_which_a_lane_begins(copy: Path) -> None:
    shutil.rmtree(copy / "laneseg_label_w16")
    source = CULaneSource(copy, "train")
    frame, size = Frame(118, 328), (118, 328)
    label = source.label(0, frame, size)
    path = (copy / source.names[0]).with_suffix(".lines.txt")
    turned = [Lane(lane.points[::-1], lane.image_size) for lane in read_lines(path, size)]
    assert turned
    write_lines(path, turned)
    assert np.array_equal(CULaneSource(copy, "train").label(0, frame, size), label)


def test_masks_elsewhere_than_where_they_are_read_are_an_error(copy: Path) -> None:
    (copy / "laneseg_label_w16").rename(copy / "own_masks")
    path = copy / "list" / "train_gt.txt"
    path.write_text(path.read_text().replace("laneseg_label_w16", "own_masks"))
    with pytest.raises(LgadError, match=r"names the mask own_masks/.*is read from laneseg_label_w16/"):
        CULaneSource(copy, "train")
    shutil.rmtree(copy / "own_masks")  # only the lanes were copied
    assert CULaneSource(copy, "train").masks is None
