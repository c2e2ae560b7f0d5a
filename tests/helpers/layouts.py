"""A small data set in every layout and format that is read, written after their descriptions."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.lanes import Lane, rasterise, write_lines

SPLITS = ("train", "val", "test")
SIZE = (590, 1640)
LEFT, RIGHT = [[300.5, 589.0], [600.0, 400.0]], [[1300.5, 589.0], [900.0, 400.0]]


def image(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(map(ord, path.parts[-2])) % 200
    cv2.imwrite(str(path), np.full((height, width, 3), shade, np.uint8))


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def curvelanes(root: Path) -> None:
    for part, size in (("train", (590, 1640)), ("valid", (1440, 2560))):
        image(root / part / "images/a.jpg", *size)
        lines = [[{"x": str(x), "y": str(y)} for x, y in lane] for lane in (LEFT, RIGHT)]
        write(root / part / "labels/a.lines.json", {"Lines": lines})


def marker(x: float, y: float, end_x: float, end_y: float, z: float) -> dict[str, Any]:
    world = {"world_start": {"x": "0", "y": "0", "z": str(z)}, "world_end": {"x": "0", "y": "0", "z": str(z + 3)}}
    pixels = {"pixel_start": {"x": str(x), "y": str(y)}, "pixel_end": {"x": str(end_x), "y": str(end_y)}}
    return world | pixels


LLAMAS_LANES = [
    {"lane_id": "l0", "markers": [marker(500, 600, 520, 560, 8), marker(560, 480, 570, 460, 20)]},
    {"lane_id": "r0", "markers": [marker(800, 650, 780, 600, 6), marker(700, 400, 690, 375, 30)]},
    {"lane_id": "r2", "markers": [marker(1200, 500, 1100, 450, 9), marker(900, 350, 880, 340, 40)]},
    {"lane_id": "l1", "markers": [marker(100, 500, 110, 490, 9), marker(120, 495, 130, 485, 12)]},  # too low to count
]


def llamas(root: Path) -> None:
    for part in ("train", "valid"):
        image(root / f"color_images/{part}/{part}-drive/1_color_rect.png", 717, 1276)
        write(root / f"labels/{part}/{part}-drive/1.json", {"projection_matrix": [], "lanes": LLAMAS_LANES})


def openlane(root: Path) -> None:
    for part in ("training", "validation"):
        image(root / f"images/{part}/segment-{part}/1.jpg", 1280, 1920)
        lines = [
            {"uv": [[400, 700], [1279, 700]], "category": 1, "attribute": 2},
            {"uv": [[1500, 1200], [1279, 700]], "category": 2, "attribute": 3},
            {"uv": [[5, 300], [900, 800]], "category": 20, "attribute": 0},
        ]
        write(root / f"lane3d_1000/{part}/segment-{part}/1.json", {"lane_lines": lines, "file_path": "x"})


def bdd100k(root: Path) -> None:
    outlines = [[[300, 719], [600, 400]], [[312, 719], [604, 400]]]
    labels: list[dict[str, Any]] = [
        {"category": "single white", "poly2d": [{"vertices": line, "types": "LL"}]} for line in outlines
    ]
    curve = {"vertices": [[900, 700], [850, 600], [800, 500], [790, 420]], "types": "LCCC"}
    labels += [
        {"category": "double yellow", "attributes": {"laneDirection": "parallel"}, "poly2d": [curve]},
        {"category": "single white", "attributes": {"laneDirection": "vertical"}, "poly2d": [curve]},
        {"category": "road curb", "poly2d": [curve]},
    ]
    for part in ("train", "val"):
        image(root / "images/100k" / part / "a.jpg", 720, 1280)
        mask = np.full((720, 1280), 255, np.uint8)
        across, kerb = [[5, 500], [300, 500]], [[5, 600], [90, 600]]
        for value, line in ((6, outlines[0]), (6, outlines[1]), (6 + 32, across), (4, kerb)):
            cv2.polylines(mask, [np.array(line, np.int32)], False, value, 2)
        path = root / "labels/lane/masks" / part / "a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)
        write(root / f"labels/lane/polygons/lane_{part}.json", [{"name": "a.jpg", "labels": labels}])


def culane(root: Path) -> None:
    generate(SyntheticData(2, 1, 9, (148, 410)), root, workers=0)


def tusimple_line(name: str, size: tuple[int, int] = (720, 1280)) -> dict[str, Any]:
    """LEFT and RIGHT in TuSimple's rows."""
    rows = list(range(size[0] * 2 // 9, size[0], size[0] // 72))
    columns = [Lane(lane, size).x_at(rows) for lane in (LEFT, RIGHT)]
    return {"lanes": [np.nan_to_num(part, nan=-2).tolist() for part in columns], "h_samples": rows, "raw_file": name}


def tusimple(root: Path) -> None:
    for label in ("label_data_0313", "label_data_0601", "label_data_0531", "test_label"):
        image(root / f"clips/{label}/20.jpg", 720, 1280)
        write(root / f"{label}.json", tusimple_line(f"clips/{label}/20.jpg"))


def mask(path: Path, values: Sequence[Any]) -> None:
    """A mask of LEFT and RIGHT with these values or colours (blue, green, red)."""
    label = rasterise([Lane(lane, SIZE) for lane in (LEFT, RIGHT)], SIZE, width=16)
    table = np.zeros((256, *np.shape(values[0])), np.uint8)
    table[1:3] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), table[label])


def lines(root: Path) -> None:
    for split, ending, size in zip(SPLITS, ("jpg", "png", "jpg"), (SIZE, (720, 1280), SIZE), strict=True):
        image(root / f"{split}/a clip/1.{ending}", *size)
        write_lines(root / f"{split}/a clip/1.lines.txt", [Lane(lane, size) for lane in (LEFT, RIGHT)])


def masks(values: Sequence[Any]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for split in SPLITS:
            image(root / split / "images/1.jpg", *SIZE)
            mask(root / split / "masks/1.png", values)

    return make


def in_one_file(name: str, text: Callable[[str], str]) -> Callable[[Path], None]:
    """Images and, for each split, a file that names them; `text` makes it of an image's name."""

    def make(root: Path) -> None:
        for split in SPLITS:
            image(root / split / "1.jpg", *SIZE)
            (root / f"{split}{name}").write_text(text(f"{split}/1.jpg"))

    return make


def beside(name: str, text: str) -> Callable[[Path], None]:
    """Images, and a file of `text` beside each of them."""

    def make(root: Path) -> None:
        for split in SPLITS:
            image(root / split / "1.jpg", *SIZE)
            (root / split / name).write_text(text)

    return make


def coco(name: str) -> str:
    flat = [{"image_id": 1, "segmentation": [[value for point in lane for value in point]]} for lane in (LEFT, RIGHT)]
    images = [{"id": 1, "file_name": name, "height": SIZE[0], "width": SIZE[1]}]
    return json.dumps({"images": images, "annotations": flat})


def cvat(name: str) -> str:
    shapes = [";".join(f"{x},{y}" for x, y in lane) for lane in (LEFT, RIGHT)]
    inner = "".join(f'<polyline label="lane" points="{points}"/>' for points in shapes)
    return f'<annotations><image name="{name}" height="{SIZE[0]}" width="{SIZE[1]}">{inner}</image></annotations>'


SHAPES = [{"label": "lane", "shape_type": "linestrip", "points": lane} for lane in (LEFT, RIGHT)]
LABELME = json.dumps({"shapes": SHAPES, "imageHeight": SIZE[0], "imageWidth": SIZE[1]})
CURVELANES = json.dumps({"Lines": [[{"x": str(x), "y": str(y)} for x, y in lane] for lane in (LEFT, RIGHT)]})


class Layout(NamedTuple):
    """How a data set is made, the layout it is recognised as, and the settings that it needs."""

    make: Callable[[Path], object]
    layout: str
    settings: dict[str, Any]


EVERY: dict[str, Layout] = {
    "culane": Layout(culane, "culane", {}),
    "tusimple": Layout(tusimple, "tusimple", {}),
    "curvelanes": Layout(curvelanes, "curvelanes", {}),
    "llamas": Layout(llamas, "llamas", {}),
    "openlane": Layout(openlane, "openlane", {}),
    "openlane, lane or not": Layout(openlane, "openlane", {"num_slots": 1, "kerbs": True}),
    "bdd100k, masks": Layout(bdd100k, "bdd100k", {}),
    "bdd100k, polygons": Layout(bdd100k, "bdd100k", {"labels": "polygons"}),
    "bdd100k, centres": Layout(bdd100k, "bdd100k", {"labels": "centres", "test_stroke": 2 / 1280}),
    "lines": Layout(lines, "folder", {"num_slots": 2}),
    "masks": Layout(masks((5, 10)), "folder", {"num_slots": 2, "mask_values": {5: 1, 10: 2}}),
    "masks in colours": Layout(
        masks(((0, 0, 255), (255, 0, 0))), "folder", {"num_slots": 2, "mask_values": {"#ff0000": 1, "#0000ff": 2}}
    ),
    "masks, lane or not": Layout(masks((255, 255)), "folder", {"num_slots": 1}),
    "JSON lines": Layout(
        in_one_file(".jsonl", lambda name: json.dumps({"image": name, "lanes": [LEFT, RIGHT], "slots": [1, 3]})),
        "folder",
        {"num_slots": 3},
    ),
    "TuSimple's JSON lines": Layout(
        in_one_file(".json", lambda name: json.dumps(tusimple_line(name, SIZE))), "folder", {"num_slots": 2}
    ),
    "COCO": Layout(in_one_file(".json", coco), "folder", {"num_slots": 2}),
    "CVAT": Layout(in_one_file(".xml", cvat), "folder", {"num_slots": 2}),
    "labelme": Layout(beside("1.json", LABELME), "folder", {"num_slots": 2}),
    "CurveLanes' files": Layout(beside("1.lines.json", CURVELANES), "folder", {"num_slots": 2}),
}
"""By name; a test sees to it that every layout of the package is among them."""
