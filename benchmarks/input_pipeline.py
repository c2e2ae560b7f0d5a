"""How fast training samples come: images a second of one process, files to a normalised 288 x 800 tensor, in one run.

Ours (from the files; with cached labels; with half-size JPEG decoding as well) runs against PIL with the transforms of
torchvision, as the public codes for CULane do it. CPU seconds of one thread; the four take turns, and the median of the
rounds counts. `travelling` leaves out normalisation, which in training happens on the device.

    python benchmarks/input_pipeline.py                  # on generated roads: light JPEGs
    python benchmarks/input_pipeline.py --root CULane    # on a folder in CULane's layout
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from lgad_lightning.data import CULaneDataModule
from lgad_lightning.data.dataset import collate
from lgad_lightning.data.synthetic import SyntheticData, generate

SIZE = (288, 800)
BARS = {"from files": 1.4, "cached labels": 2.2, "cached labels, half-size decoding": 2.6}


def peers(module: CULaneDataModule) -> Callable[[int], object]:
    """PIL, and what torchvision's Resize, ToTensor and Normalize do."""
    source = module.source("train")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (module.mean, module.std))

    def load(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = (
            Image.open(source.root / source.names[index]).convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
        )
        mask = Image.open(source.label_path(index)).resize(SIZE[::-1], Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub_(mean).div_(std), torch.from_numpy(np.array(mask)).long()

    return load


def ours(module: CULaneDataModule, normalise: bool) -> Callable[[int], object]:
    """A batch of one through the package's own dataset."""
    module.prepare_data()
    module.setup("fit")
    dataset = module.datasets["train"]

    def load(index: int) -> object:
        batch = collate([dataset[index]])
        return module.on_after_batch_transfer(batch, 0) if normalise else batch  # type: ignore[arg-type]

    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder in CULane's layout with masks")
    parser.add_argument("--images", type=int, default=40, help="number of images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or generate(SyntheticData(train=arguments.images, val=1, test=1), Path(folder) / "roads")
        options = {"input_size": SIZE, "augmentation": False}
        caching = options | {"label_cache": Path(folder) / "cache"}
        modules = {
            "from files": CULaneDataModule(root, **options),
            "cached labels": CULaneDataModule(root, **caching),
            "cached labels, half-size decoding": CULaneDataModule(root, **caching, reduced_decode=True),
        }
        loaders = {"PIL and torchvision's transforms": peers(modules["from files"])}
        loaders |= {name: ours(module, normalise=True) for name, module in modules.items()}
        loaders |= {f"{name}, travelling": ours(module, normalise=False) for name, module in modules.items()}
        count = min(arguments.images, len(modules["from files"].source("train")))
        seconds = measure(loaders, count, arguments.rounds)
    report(seconds, arguments.json)


def measure(loaders: dict[str, Callable[[int], object]], count: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds an image, by round."""
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(rounds + 1):
        for name, load in loaders.items():
            start = time.process_time()
            for index in range(count):
                load(index)
            seconds[name].append((time.process_time() - start) / count)
    return {name: values[1:] for name, values in seconds.items()}  # the first round warms the file cache


def report(seconds: dict[str, list[float]], path: Path | None) -> None:
    table = Table("pipeline", "images/s", "ratio", "lowest", "highest", "bar", title="Input pipeline, one thread")
    baseline = next(iter(seconds.values()))
    figures = {}
    for name, values in seconds.items():
        ratios = [base / own for base, own in zip(baseline, values, strict=True)]
        ratio = statistics.median(ratios)
        figures[name] = {"images_per_second": 1 / statistics.median(values), "ratio": ratio}
        bar = f"{BARS[name]}" if name in BARS else ""
        table.add_row(
            name,
            f"{1 / statistics.median(values):.0f}",
            f"{ratio:.2f}",
            f"{min(ratios):.2f}",
            f"{max(ratios):.2f}",
            bar,
        )
    Console().print(table)
    if path is not None:
        path.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
