"""What opening a data set of the official length costs, for every layout.

Writes lists, labels and (empty) images in the numbers of the official releases. Opens the data module in a new process,
and forks workers that read every name twice, as the epochs of a training do. Prints the seconds to open (by the clock,
and of the processor: they differ where others use the machine too), the memory that opening took, and the memory that
each worker has for itself. For CULane it also measures the names in an ordinary Python list. Linux only. The layouts
that have a file for each image write 100,000s of files.

    python benchmarks/list_memory.py
    python benchmarks/list_memory.py --layout culane folder
"""

import argparse
import gc
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lgad_lightning.curation.layouts import open_data
from lgad_lightning.data.source import SPLITS

BARS = {"seconds to open": 2.0, "MB with all workers": 150.0}
COUNTS = {
    "culane": (88_880, 9_675, 34_680),
    "tusimple": (3_268, 358, 2_782),
    "folder": (88_880, 9_675, 34_680),
    "folder, JSON lines": (88_880, 9_675, 34_680),
    "folder, COCO": (88_880, 9_675, 34_680),
    "folder, CVAT": (88_880, 9_675, 34_680),
    "curvelanes": (100_000, 20_000),
    "llamas": (58_269, 20_844),
    "openlane": (157_807, 39_981),
    "bdd100k": (70_000, 10_000),
    "bdd100k, polygons": (70_000, 10_000),
}
SETTINGS = {"bdd100k, polygons": {"labels": "polygons"}}


def touch(paths: Iterator[Path]) -> None:
    """Empty files, as many as an official release has."""
    known: set[Path] = set()
    for path in paths:
        if path.parent not in known:
            path.parent.mkdir(parents=True, exist_ok=True)
            known.add(path.parent)
        path.touch()


def culane(root: Path, counts: Sequence[int]) -> None:
    (root / "list/test_split").mkdir(parents=True)
    for split, count in zip(SPLITS, counts, strict=True):
        names = [f"/driver_{n % 200:03d}_30frame/05{n // 200:06d}_0422.MP4/{n % 4000:05d}.jpg" for n in range(count)]
        if split == "test":
            for number in range(9):
                part = "\n".join(names[number::9])
                (root / f"list/test_split/test{number}_scenario{number}.txt").write_text(part)
            (root / "list/test.txt").write_text("\n".join(names))
        else:
            lines = (f"{name} /laneseg_label_w16{name[:-4]}.png 1 1 1 1" for name in names)
            (root / f"list/{split}_gt.txt").write_text("\n".join(lines))


def tusimple(root: Path, counts: Sequence[int]) -> None:
    rows = list(range(160, 711, 10))
    for names, count in zip((("0313", "0601"), ("0531",), ()), counts, strict=True):
        for name in [f"label_data_{part}.json" for part in names] or ["test_label.json"]:
            record = {"lanes": [[640] * 56] * 4, "h_samples": rows}
            lines = [json.dumps(record | {"raw_file": f"clips/{n}/20.jpg"}) for n in range(count // max(len(names), 1))]
            (root / name).write_text("\n".join(lines))


def folder(root: Path, counts: Sequence[int]) -> None:
    for split, count in zip(SPLITS, counts, strict=True):
        stems = [root / split / f"clip_{n // 200:04d}/{n % 200:05d}" for n in range(count)]
        touch(path.with_suffix(ending) for path in stems for ending in (".jpg", ".lines.txt"))


def json_lines(root: Path, counts: Sequence[int]) -> None:
    lane = [[x, 710 - 10 * x] for x in range(40)]
    for split, count in zip(SPLITS, counts, strict=True):
        records = ({"image": f"clip_{n // 200:04d}/{n:05d}.jpg", "lanes": [lane] * 4} for n in range(count))
        (root / f"{split}.jsonl").write_text("\n".join(map(json.dumps, records)))


def coco(root: Path, counts: Sequence[int]) -> None:
    lane = [value for x in range(40) for value in (600.12 + 3.3 * x, 710 - 10 * x)]
    for split, count in zip(SPLITS, counts, strict=True):
        names = (f"clip_{n // 200:04d}/{n:05d}.jpg" for n in range(count))
        images = [{"id": n, "file_name": name, "height": 720, "width": 1280} for n, name in enumerate(names)]
        lanes = [{"id": n, "image_id": n // 4, "category_id": 1, "segmentation": [lane]} for n in range(4 * count)]
        record = {"images": images, "annotations": lanes, "categories": [{"id": 1, "name": "lane"}]}
        (root / f"{split}.json").write_text(json.dumps(record))


def cvat(root: Path, counts: Sequence[int]) -> None:
    points = ";".join(f"{600.12 + 3.3 * x:.2f},{710 - 10 * x}" for x in range(40))
    lanes = f'    <polyline label="lane" occluded="0" points="{points}" z_order="0">\n    </polyline>\n' * 4
    for split, count in zip(SPLITS, counts, strict=True):
        names = (f"clip_{n // 200:04d}/{n:05d}.jpg" for n in range(count))
        images = (
            f'  <image id="{n}" name="{name}" width="1280" height="720">\n{lanes}  </image>\n'
            for n, name in enumerate(names)
        )
        (root / f"{split}.xml").write_text(f"<annotations>\n{''.join(images)}</annotations>\n")


def curvelanes(root: Path, counts: Sequence[int]) -> None:
    for part, count in zip(("train", "valid"), counts, strict=True):
        touch(root / part / "images" / f"{n:032x}.jpg" for n in range(count))
        touch(root / part / "labels" / f"{n:032x}.lines.json" for n in range(count))


def llamas(root: Path, counts: Sequence[int]) -> None:
    (root / "color_images").mkdir()
    for part, count in zip(("train", "valid"), counts, strict=True):
        touch(root / "labels" / part / f"drive-{n // 2000}/{1404643848 + n}_0000000000.json" for n in range(count))


def openlane(root: Path, counts: Sequence[int]) -> None:
    for part, count in zip(("training", "validation"), counts, strict=True):
        place = root / "lane3d_1000" / part
        touch(place / f"segment-{n // 200:020d}_with_camera_labels/{n:018d}.json" for n in range(count))


def bdd100k(root: Path, counts: Sequence[int]) -> None:
    for part, count in zip(("train", "val"), counts, strict=True):
        touch(root / "images/100k" / part / f"{n:08x}-{n:08x}.jpg" for n in range(count))
        touch(root / "labels/lane/masks" / part / f"{n:08x}-{n:08x}.png" for n in range(count))


def bdd100k_polygons(root: Path, counts: Sequence[int]) -> None:
    shape = {"vertices": [[300.12 + 20.3 * n, 719.12 - 40 * n] for n in range(6)], "types": "LCCCLL", "closed": False}
    attributes = {"laneDirection": "parallel", "laneStyle": "solid", "laneTypes": "single white"}
    labels = [{"category": "single white", "attributes": attributes, "poly2d": [shape]}] * 8
    (root / "labels/lane/polygons").mkdir(parents=True)
    for part, count in zip(("train", "val"), counts, strict=True):
        names = [f"{n:08x}-{n:08x}.jpg" for n in range(count)]
        touch(root / "images/100k" / part / name for name in names)
        record = [{"name": name, "labels": labels} for name in names]
        (root / f"labels/lane/polygons/lane_{part}.json").write_text(json.dumps(record))


WRITERS: dict[str, Callable[[Path, Sequence[int]], None]] = {
    "culane": culane,
    "tusimple": tusimple,
    "folder": folder,
    "folder, JSON lines": json_lines,
    "folder, COCO": coco,
    "folder, CVAT": cvat,
    "curvelanes": curvelanes,
    "llamas": llamas,
    "openlane": openlane,
    "bdd100k": bdd100k,
    "bdd100k, polygons": bdd100k_polygons,
}


def private_mb() -> float:
    """Memory of this process that no other one shares, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def go_through(names: Sequence[Sequence[str]], results: Any) -> None:
    """What a worker does: reads every name, twice."""
    before = private_mb()
    for _ in range(2):
        for part in names:
            for name in part:
                assert name
    results.put(private_mb() - before)


def measure(root: Path, settings: dict[str, Any], workers: int, plain: bool, results: Any) -> None:
    """Opens the lists in this process, and forks the workers from it."""
    open_data(root, **settings)  # what it imports counts for nothing
    gc.collect()
    start, processor, before = time.perf_counter(), time.process_time(), private_mb()
    module = open_data(root, **settings)
    sources = [module.open(split) for split in SPLITS]
    names: list[Sequence[str]] = [source.names for source in sources]
    if plain:
        names = [list(part) for part in names]
    seconds, used = time.perf_counter() - start, time.process_time() - processor
    opened = private_mb() - before
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=go_through, args=(names, queue)) for _ in range(workers)]
    for process in processes:
        process.start()
    own = sorted(queue.get() for _ in processes)
    for process in processes:
        process.join()
    found = {
        "seconds to open": seconds,
        "of processor": used,
        "MB to open": opened,
        "MB of a worker": own[len(own) // 2],
    }
    results.put(found | {"MB with all workers": opened + sum(own)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--share", type=float, default=1.0, help="of the official length, for a quick look")
    parser.add_argument("--layout", nargs="+", choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    figures: dict[str, dict[str, float]] = {}
    for layout in arguments.layout:
        with tempfile.TemporaryDirectory() as place:
            counts = [max(2, round(arguments.share * count)) for count in COUNTS[layout]]
            WRITERS[layout](Path(place), counts)
            for name, plain in ((layout, False), ("culane, Python lists of strings", True))[: 1 + (layout == "culane")]:
                results = context.Queue()
                given = (Path(place), SETTINGS.get(layout, {}), arguments.workers, plain, results)
                process = context.Process(target=measure, args=given)
                process.start()
                figures[name] = {"images": sum(counts)} | results.get()
                process.join()
    table = Table("layout", *next(iter(figures.values())), title=f"{arguments.workers} workers")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:,}" if isinstance(value, int) else f"{value:.2f}" for value in values.values()))
    table.add_row("bar", *(f"{BARS[key]:.0f}" if key in BARS else "" for key in next(iter(figures.values()))))
    Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
