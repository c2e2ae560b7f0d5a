"""What people have: other names, other tools, masks; and no splits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lgad_lightning.commands.data import main
from lgad_lightning.curation.check import check_data
from lgad_lightning.curation.layouts import open_data
from lgad_lightning.data import LaneFolderDataModule
from lgad_lightning.data.division import divide
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Frame, Lane, write_lines
from lgad_lightning.lanes.raster import rasterise

SIZE = (60, 120)
LEFT, RIGHT = [[5.0, 59.0], [40.0, 10.0]], [[110.0, 59.0], [70.0, 10.0]]


def module(root: Path, **options: Any) -> LaneFolderDataModule:
    settings = {"num_slots": 2, "input_size": (30, 60), "batch_size": 2, "num_workers": 0, "augmentation": False}
    return LaneFolderDataModule(root, **(settings | options))


def image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))


def mask(path: Path, values: Sequence[Any] = (1, 2)) -> None:
    """A mask of the two lanes, with these values or colours (blue, green, red)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = rasterise([Lane(LEFT, SIZE), Lane(RIGHT, SIZE)], SIZE, width=6)
    table = np.zeros((256, *np.shape(values[0])), np.uint8)
    table[1:3] = values
    cv2.imwrite(str(path), table[label])


def names(data: LaneFolderDataModule, split: Any = "train") -> list[str]:
    return list(data.open(split).names)


def found(data: LaneFolderDataModule) -> list[list[list[float]]]:
    return [lane.points.tolist() for lane in data.open("train").lanes(0, SIZE)]


def classes(data: LaneFolderDataModule) -> set[int]:
    return set(np.unique(data.open("train").label(0, Frame(*SIZE), SIZE)).tolist())


def labelme(points: Any = LEFT, kind: str = "linestrip", size: tuple[int, int] = SIZE) -> str:
    shape = {"label": "lane", "shape_type": kind, "points": points}
    return json.dumps({"shapes": [shape], "imagePath": "x", "imageHeight": size[0], "imageWidth": size[1]})


def coco(**annotation: Any) -> str:
    images = [{"id": 7, "file_name": "0.jpg", "height": SIZE[0], "width": SIZE[1]}]
    flat = [value for point in LEFT for value in point]
    annotations = [{"image_id": 7, "category_id": 1, "segmentation": [flat]} | annotation]
    return json.dumps(
        {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "lane"}]}, indent=1
    )


def cvat(shape: str = "polyline", points: str = "5,59;40,10", label: str = "lane") -> str:
    inner = f'<image name="0.jpg" height="60" width="120"><{shape} label="{label}" points="{points}"/></image>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{inner}</annotations>'


TUSIMPLE = json.dumps({"raw_file": "0.jpg", "h_samples": [10, 59], "lanes": [[40, 5], [-2, -2]], "weather": "rain"})
SORTED = sorted(LEFT)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("train.json", TUSIMPLE),
        ("train.json", coco()),
        ("training.xml", cvat()),
        ("train.jsonl", json.dumps({"image": "0.jpg", "lanes": [LEFT]})),
        ("train/0.lines.json", '{"Lines": [[{"x": "5", "y": "59"}, {"x": "40", "y": "10"}]]}'),
        ("train/0.json", labelme()),
        ("train/_annotations.coco.json", coco()),
        ("train/annotations.xml", cvat()),
    ],
)
def test_files_of_other_tools(path: str, text: str, tmp_path: Path) -> None:
    image(tmp_path / ("train/0.jpg" if "/" in path else "0.jpg"))
    (tmp_path / path).write_text(text)
    data = module(tmp_path)
    data.check(["train"])
    assert [sorted(lane) for lane in found(data) if lane] == [SORTED]
    assert classes(data) == {0, 1}
    assert type(open_data(tmp_path)) is LaneFolderDataModule


@pytest.mark.parametrize("text", [labelme([[1, 59], [9, 59], [44, 10], [36, 10]], "polygon"), labelme(kind="line")])
def test_the_middle_of_a_polygon_is_its_lane(text: str, tmp_path: Path) -> None:
    image(tmp_path / "train/0.jpg")
    (tmp_path / "train/0.json").write_text(text)
    (lane,) = module(tmp_path).open("train").lanes(0, SIZE)
    assert lane.x_at([15, 35, 55]) == pytest.approx(Lane(LEFT, SIZE).x_at([15, 35, 55]), abs=1)


def test_only_the_categories_that_are_lanes(tmp_path: Path) -> None:
    image(tmp_path / "train/0.jpg")
    for path, text in (("train/annotations.xml", cvat(label="kerb")), ("train/annotations.json", coco(category_id=2))):
        (tmp_path / path).write_text(text)
        assert found(module(tmp_path)) != []
        assert found(module(tmp_path, categories=["lane"])) == []
        (tmp_path / path).unlink()


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "train/0.jpg")
    (tmp_path / "train/0.json").write_text(labelme(size=(720, 1280)))
    with pytest.raises(LgadError, match="1280 x 720 pixels, the image has 120 x 60"):
        found(module(tmp_path))


@pytest.mark.parametrize(
    ("values", "mask_values", "num_slots", "expected"),
    [
        ((1, 2), None, 2, {0, 1, 2}),
        ((5, 10), {5: 1, 10: 2}, 2, {0, 1, 2}),
        ((5, 10), {5: 1, 10: 0}, 2, {0, 1}),
        ((255, 255), None, 1, {0, 1}),
        ((1, 1), None, 1, {0, 1}),
        ((255, 7), {255: 1, 7: 255}, 1, {0, 1, 255}),
        (((0, 0, 255), (255, 0, 0)), {"#ff0000": 1, "0,0,255": 2}, 2, {0, 1, 2}),
        (((9, 9, 9), (4, 4, 4)), {9: 1, 4: 2}, 2, {0, 1, 2}),
    ],
)
@pytest.mark.parametrize("place", ["train/masks/0.png", "masks/train/images/0.png"])
def test_masks(values: Any, mask_values: Any, num_slots: int, expected: set[int], place: str, tmp_path: Path) -> None:
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / place, values)
    data = module(tmp_path, num_slots=num_slots, mask_values=mask_values)
    assert names(data) == ["train/images/0.jpg"]
    assert classes(data) == expected
    traced = data.open("train").lanes(0, SIZE)
    assert len(traced) == (1 if expected in ({0, 1, 255}, {0, 1}) and values != (255, 255) and values != (1, 1) else 2)
    left = min(traced, key=lambda lane: lane.points[:, 0].mean())
    assert left.x_at([20, 50]) == pytest.approx(Lane(LEFT, SIZE).x_at([20, 50]), abs=1)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ((60, 120), {}, r"60 times 1 to 2: multiplied for viewing\? .* mask_values={60: 1, 120: 2}"),
        ((5, 10), {"mask_values": {5: 1}}, "holds 10"),
        ((255, 255), {}, r"0 and 255 alone.*num_slots=1"),
        ((1, 255), {"num_slots": 1}, r"holds 1 and 255, .* mask_values={1: 1, 255: 255}"),
        (((0, 0, 255), (255, 0, 0)), {}, "colours: say which"),
        (((0, 0, 255), (255, 0, 0)), {"mask_values": {"#ff0000": 1}}, "#0000ff"),
    ],
)
def test_masks_of_other_values_say_why(values: Any, options: Any, message: str, tmp_path: Path) -> None:
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "train/masks/0.png", values)
    with pytest.raises(LgadError, match=message):
        classes(module(tmp_path, **options))


def test_a_mask_may_ignore_all_that_it_shows_where_its_values_are_given(tmp_path: Path) -> None:
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "train/masks/0.png", (255, 255))
    assert classes(module(tmp_path, mask_values={1: 1, 2: 2, 255: 255})) == {0, 255}


def test_what_is_made_of_masks_is_cached_by_their_table(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        image(tmp_path / split / "images/0.jpg")
        mask(tmp_path / split / "masks/0.png", (5, 10))
    seen, identities = [], set()
    for table in ({5: 1, 10: 2}, {5: 0, 10: 1}):
        data = module(tmp_path, mask_values=table, label_cache=tmp_path / "cache")
        data.prepare_data()
        data.setup("fit")
        seen.append(set(next(iter(data.val_dataloader()))["label"].unique().tolist()))
        identities.add(data.identity)
    assert (seen, len(identities)) == ([{0, 1, 2}, {0, 1}], 2)


@pytest.mark.parametrize("table", [{}, {5: 3}, {5: True}, {300: 1}, {"red": 1}, {"#ff0000": 1, 5: 1}, {None: 1}, [5]])
def test_tables_that_are_none_are_refused(table: Any, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match="mask_values"):
        module(tmp_path, mask_values=table)


def test_a_palette_is_read_as_numbers(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "grey.png")
    (tmp_path / "train/masks").mkdir()
    indexed = image_module.open(tmp_path / "grey.png").convert("L")
    indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    indexed.save(tmp_path / "train/masks/0.png")
    assert classes(module(tmp_path)) == {0, 1, 2}
    assert classes(module(tmp_path, mask_values={"#800000": 1, "#008000": 2})) == {0, 1, 2}


def test_two_folders_of_annotations_must_be_chosen_from(tmp_path: Path) -> None:
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "train/lanes/0.png")
    mask(tmp_path / "train/segments/0.png", (200, 201))
    with pytest.raises(LgadError, match=r"lanes/ and segments/.*annotations=FOLDER"):
        module(tmp_path).open("train")
    assert classes(module(tmp_path, annotations="lanes")) == {0, 1, 2}


def test_a_folder_of_annotations_that_has_none_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "train/0.jpg")
    for place in ("train", "labels/train"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        write_lines(tmp_path / place / "0.lines.txt", [])
    with pytest.raises(LgadError, match=r"annotations=lables: no folder .* of train/0\.jpg"):
        module(tmp_path, annotations="lables").open("train")


def test_a_mask_beside_its_image_is_no_image(tmp_path: Path) -> None:
    image(tmp_path / "train/0.jpg")
    write_lines(tmp_path / "train/0.lines.txt", [])
    mask(tmp_path / "train/0.png")
    with pytest.raises(LgadError, match=r"train/0\.jpg and train/0\.png .* masks/train/0\.png"):
        module(tmp_path).open("train")


def test_masks_to_train_on_and_lanes_to_evaluate(tmp_path: Path) -> None:
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "train/masks/0.png")
    write_lines(tmp_path / "train/images/0.lines.txt", [Lane(RIGHT, SIZE)])
    data = module(tmp_path)
    assert (classes(data), found(data)) == ({0, 1, 2}, [RIGHT])


def test_lists_with_and_without_annotations(tmp_path: Path) -> None:
    image(tmp_path / "any/0.jpg")
    mask(tmp_path / "other/x.png")
    (tmp_path / "train.txt").write_text("/any/0.jpg other/x.png\n")
    assert classes(module(tmp_path)) == {0, 1, 2}
    (tmp_path / "train.txt").write_text("any/0.jpg\n")
    write_lines(tmp_path / "any/0.lines.txt", [Lane(LEFT, SIZE)])
    assert found(module(tmp_path)) == [LEFT]
    assert names(module(tmp_path, files={"train": "train.txt"})) == ["any/0.jpg"]


@pytest.mark.parametrize("lines", ["0.jpg\n1.jpg x.png\n", "1.jpg x.png\n0.jpg\n"])
def test_a_list_gives_annotations_to_all_images_or_to_none(lines: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(lines)
    with pytest.raises(LgadError, match=r"train\.txt: 0\.jpg has no annotation beside it"):
        module(tmp_path).open("train")


def test_all_lists_of_a_split_are_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.jpg")
        write_lines(tmp_path / f"{name}.lines.txt", [])
        (tmp_path / f"{name}.txt").write_text(f"{name}.jpg\n")
    assert names(module(tmp_path, files={"train": ["a.txt", "b.txt"]})) == ["a.jpg", "b.jpg"]
    (tmp_path / "c.jsonl").write_text("")
    for wrong in (["a.txt", "c.jsonl"], []):
        with pytest.raises(LgadError, match=r"files, train: .* must be lists \(\.txt\), or files that hold lanes"):
            module(tmp_path, files={"train": wrong}).open("train")


def test_splits_are_drawn_from_whole_clips(tmp_path: Path) -> None:
    records = [
        {"raw_file": f"clips/{number // 5}/{number}.jpg", "h_samples": [1], "lanes": []} for number in range(100)
    ]
    (tmp_path / "mine.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(LgadError, match=r"holds mine\.json: say .* split=0\.8/0\.1/0\.1"):
        module(tmp_path).open("train")
    data = module(tmp_path, split="0.8/0.1/0.1")
    drawn = {split: names(data, split) for split in ("train", "val", "test")}
    assert [len(part) for part in drawn.values()] == [80, 10, 10]
    clips = [{name.split("/")[1] for name in part} for part in drawn.values()]
    assert sum(map(len, clips)) == len(set().union(*clips)) == 20


def test_images_of_one_folder_are_cut_in_order() -> None:
    drawn = divide([f"{number}.jpg" for number in range(20)], (0.8, 0.1, 0.1))
    assert (drawn["val"], drawn["test"]) == ([16, 17], [18, 19])
    with pytest.raises(LgadError, match="2 images are too few"):
        divide(["a", "b"], (0.8, 0.1, 0.1))


@pytest.mark.parametrize("shares", ["1", "0.5/0.5", "a/b/c", "0.5/0.5/0.5", "-1/1/1", "nan/0/1"])
def test_shares_that_are_none_are_refused(shares: str, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=r"0\.8/0\.1/0\.1"):
        module(tmp_path, split=shares)


def test_drawn_splits_leave_the_masks_out(tmp_path: Path) -> None:
    for number in range(10):
        image(tmp_path / f"images/{number}.png")
        mask(tmp_path / f"masks/{number}.png")
    data = module(tmp_path, split="0.8/0.1/0.1")
    assert [len(names(data, split)) for split in ("train", "val", "test")] == [8, 1, 1]
    assert classes(data) == {0, 1, 2}
    assert check_data(data, workers=0)["ok"]


def test_lgad_data_takes_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        image(tmp_path / f"images/{number}.jpg")
        mask(tmp_path / f"masks/{number}.png", (255, 255))

    def run(*given: str) -> Any:
        with pytest.raises(SystemExit) as end:
            main(["check", str(tmp_path), "--workers", "0", *given])
        return end.value.code

    assert run("--set", "split=0.8/0.1/0.1", "num_slots=1") in (0, None)
    assert run("--slots", "1", "--set", "split=0.8/0.1/0.1", "mask_values={255: 1}") in (0, None)
    for wrong, message in (("splot=1", "takes no splot"), ("split", "expected KEY=VALUE"), ("stroke=[1]", "float")):
        assert message in str(run("--set", wrong))


def test_statistics_of_one_class_for_all_lanes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        image(tmp_path / f"train/images/{number}.jpg")
        mask(tmp_path / f"train/masks/{number}.png", (255, 255) if number else (0, 0))
    with pytest.raises(SystemExit) as end:
        main(["stats", str(tmp_path), "--workers", "0", "--slots", "1"])
    assert end.value.code in (0, None)
    assert "2 images, 50.0% with lanes" in capsys.readouterr().out


def test_real_frames_in_tusimples_style(shared_dir: Path) -> None:
    data = module(shared_dir / "formats/tusimple_style", num_slots=4, split="0.8/0.1/0.1")
    result = check_data(data, workers=0)
    assert (result["ok"], sum(part["images"] for part in result["splits"].values())) == (True, 10)


def test_real_masks_of_a_camera(shared_dir: Path) -> None:
    data = module(shared_dir / "formats/masks_only", num_slots=1, annotations="lanes")
    data.check(["train", "val"])
    assert [len(names(data, split)) for split in ("train", "val")] == [6, 3]
    data.setup("fit")
    assert all(batch["existence"].all() for batch in data.train_dataloader())
    assert {tuple(frame[:2]) for batch in data.train_dataloader() for frame in batch["frame"]} > {(480, 640)}


def test_real_lines_that_begin_with_their_number(shared_dir: Path, tmp_path: Path) -> None:
    image(tmp_path / "train/a.jpg", (590, 1640))
    (tmp_path / "train/a.lines.txt").write_bytes((shared_dir / "formats/numbered_lines/a.lines.txt").read_bytes())
    with pytest.raises(LgadError, match="begins with its number"):
        found(module(tmp_path))


def test_each_file_of_lanes_names_its_own_images(tmp_path: Path) -> None:
    files = []
    for part, lane in (("one", LEFT), ("two", RIGHT)):
        image(tmp_path / part / "0.jpg")
        files.append(f"{part}/lanes.jsonl")
        (tmp_path / files[-1]).write_text(json.dumps({"image": "0.jpg", "lanes": [lane]}))
    source = module(tmp_path, files={"train": files}).open("train")
    assert list(source.names) == ["one/0.jpg", "two/0.jpg"]
    assert [source.lanes(index, SIZE)[0].points.tolist() for index in (0, 1)] == [LEFT, RIGHT]


def test_a_file_of_lanes_may_be_outside_the_root(tmp_path: Path) -> None:
    image(tmp_path / "elsewhere/0.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere/lanes.jsonl").write_text(json.dumps({"image": "0.jpg", "lanes": [LEFT]}))
    data = module(tmp_path / "root", files={"train": str(tmp_path / "elsewhere/lanes.jsonl")})
    data.check(["train"])
    assert names(data) == [str(tmp_path / "elsewhere/0.jpg")]


def test_predictions_are_no_annotations(tmp_path: Path) -> None:
    """lgad-predict writes its lanes into the current folder by default."""
    image(tmp_path / "train/images/0.jpg")
    mask(tmp_path / "train/masks/0.png")
    before = module(tmp_path).open("train").evaluation(0, (60, 120))["target"]
    for place in ("predictions/train/images", "train/predictions"):
        (tmp_path / place).mkdir(parents=True)
        write_lines(tmp_path / place / "0.lines.txt", [])
    for folder in ("predictions", "train/predictions"):
        (tmp_path / folder / ".lgad-predictions").touch()
    after = module(tmp_path).open("train").evaluation(0, (60, 120))["target"]
    assert len(before) == len(after) == 2


def test_drawn_splits_leave_out_masks_with_the_folders_of_the_images(tmp_path: Path) -> None:
    for clip in "abcdef":
        for number in range(2):
            image(tmp_path / clip / f"{number}.jpg")
            mask(tmp_path / "masks" / clip / f"{number}.png")
    data = module(tmp_path, split="0.6/0.2/0.2")
    found = [name for split in ("train", "val", "test") for name in names(data, split)]
    assert sorted(found) == [f"{clip}/{number}.jpg" for clip in "abcdef" for number in range(2)]
    assert classes(data) == {0, 1, 2}


@pytest.mark.parametrize("clips", range(3, 9))
def test_whole_clips_where_there_are_as_many_as_splits(clips: int) -> None:
    names = [f"{clip}/{frame}.jpg" for clip in range(clips) for frame in range(10)]
    found = divide(names, (0.8, 0.1, 0.1))
    folders = [{names[index].split("/")[0] for index in part} for part in found.values()]
    assert all(folders)
    assert sum(map(len, folders)) == clips


def test_too_few_clips_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    found = divide([f"{clip}/{frame}.jpg" for clip in range(2) for frame in range(10)], (0.8, 0.1, 0.1))
    assert [len(part) for part in found.values()] == [16, 2, 2]
    assert "2 folders are too few" in caplog.text


def test_endings_may_be_in_upper_case_and_images_tiff(tmp_path: Path) -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    mask = np.zeros((60, 120), np.uint8)
    mask[:, 50:54] = 1
    for part in ("train", "val", "test"):
        for name, pixels in (("images/0.TIF", image), ("masks/0.PNG", mask)):
            path = tmp_path / part / name
            path.parent.mkdir(parents=True)
            assert cv2.imwrite(str(path), pixels)
    source = LaneFolderDataModule(tmp_path, num_slots=2).open("train")
    assert list(source.names) == ["train/images/0.TIF"]
    assert source.image(0).shape == (60, 120, 3)
    assert source.label(0, Frame(60, 120), (60, 120)).max() == 1


def test_lanes_of_own_data_are_found_up_to_the_top() -> None:
    maps = torch.zeros(1, 3, 60, 120)
    maps[0, 1, :, 50:70] = 1
    data = LaneFolderDataModule("anywhere", num_slots=2)
    [[lane]] = data.protocol.decoder()(maps, None, [Frame(600, 1200)])
    assert lane.points[:, 1].min() < 0.05 * 600
