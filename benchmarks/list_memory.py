"""What CULane's lists cost at their real size: 133,235 images in three splits and nine scenarios.

Writes lists of that size, opens the data module in a process of its own, forks workers that go through every name
twice, as the epochs of a training do, and prints the seconds to open, the memory that opening took, and the memory that
each worker has for itself; beside it, the same with the names in an ordinary Python list. Linux only.

    python benchmarks/list_memory.py
"""

import argparse
import gc
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lgad_lightning.data import CULaneDataModule

IMAGES = {"train": 88_880, "val": 9_675, "test": 34_680}
BARS = {"seconds to open": 2.0, "MB with all workers": 150.0}


def write_lists(root: Path) -> None:
    """Lists as long as the official ones, with names of their length."""
    (root / "list/test_split").mkdir(parents=True)
    for split, count in IMAGES.items():
        names = [f"/driver_{n % 200:03d}_30frame/05{n // 200:06d}_0422.MP4/{n % 4000:05d}.jpg" for n in range(count)]
        if split == "test":
            for number in range(9):
                part = "\n".join(names[number::9])
                (root / f"list/test_split/test{number}_scenario{number}.txt").write_text(part)
            (root / "list/test.txt").write_text("\n".join(names))
        else:
            lines = (f"{name} /laneseg_label_w16{name[:-4]}.png 1 1 1 1" for name in names)
            (root / f"list/{split}_gt.txt").write_text("\n".join(lines))


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


def measure(root: Path, workers: int, plain: bool, results: Any) -> None:
    """Opens the lists in this process, and forks the workers from it."""
    gc.collect()
    start, before = time.perf_counter(), private_mb()
    module = CULaneDataModule(root)
    names: list[Sequence[str]] = [module.open(split).names for split in ("train", "val", "test")]
    if plain:
        names = [list(part) for part in names]
    seconds, opened = time.perf_counter() - start, private_mb() - before
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=go_through, args=(names, queue)) for _ in range(workers)]
    for process in processes:
        process.start()
    own = sorted(queue.get() for _ in processes)
    for process in processes:
        process.join()
    results.put({"seconds to open": seconds, "MB to open": opened, "MB of a worker": own[len(own) // 2]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_lists(Path(folder))
        for name, plain in (("ours", False), ("a Python list of strings", True)):
            results = context.Queue()
            process = context.Process(target=measure, args=(Path(folder), arguments.workers, plain, results))
            process.start()
            figures[name] = results.get()
            process.join()
            total = figures[name]["MB to open"] + arguments.workers * figures[name]["MB of a worker"]
            figures[name]["MB with all workers"] = total
    table = Table("names", *figures["ours"], title=f"{sum(IMAGES.values()):,} images, {arguments.workers} workers")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:.2f}" for value in values.values()))
    table.add_row("bar", *(f"{BARS[key]:.0f}" if key in BARS else "" for key in figures["ours"]))
    Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
