"""Students that were never trained: small, made in no time, and sure to find something."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from lgad_lightning import ERFNet, LaneStudent, Preprocessing, Rebuildable
from lgad_lightning.lanes import CULaneDecoder, MaskDecoder, TuSimpleDecoder
from lgad_lightning.modules.description import StudentParts, describe_parts
from lgad_lightning.modules.weights import STUDENT
from lgad_lightning.networks import LaneOutput
from lgad_lightning.networks.enet import max_unpool

SIZE = (32, 96)
IMAGE_SIZE = (148, 410)
NAMES = ("background", "left-left", "ego-left", "ego-right", "right-right")


class TinyNet(Rebuildable, torch.nn.Module):
    """A network of somebody's own, with the operators that exports are about; it is exported in seconds."""

    def __init__(self, num_classes: int, input_size: tuple[int, int], channels: Any = None, head: bool = True) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.down = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
        )
        self.pool = torch.nn.MaxPool2d(2, return_indices=True)
        self.up = torch.nn.ConvTranspose2d(8, num_classes, 2, stride=2)
        self.head = torch.nn.Linear(8, num_classes - 1) if head else None

    def forward(self, image: torch.Tensor) -> LaneOutput:
        features = self.down(image)
        pooled, indices = self.pool(features)
        logits = self.up(max_unpool(pooled, indices) + features)
        return LaneOutput(logits, None if self.head is None else self.head(features.mean((2, 3))))


def make_student(kind: type = ERFNet, seed: int = 0, protocol: str = "culane", **options: Any) -> LaneStudent:
    """A student with random weights; its thresholds are so low that it sees lanes everywhere."""
    torch.manual_seed(seed)
    names = NAMES if protocol != "pixels" else ("background", "lane")
    network = kind(num_classes=len(names), input_size=SIZE, **{"channels": (8, 16, 24), **options})
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # norms that do something, as after a training
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    grid: Any = CULaneDecoder if protocol == "culane" else TuSimpleDecoder
    low = MaskDecoder() if protocol == "pixels" else grid(threshold=0.19, existence_threshold=0.0)
    parts = StudentParts(network, low, Preprocessing(SIZE, crop_top=48), protocol, names, image_size=IMAGE_SIZE)
    return LaneStudent.of_parts(parts)


def save_checkpoint(student: LaneStudent, path: Path) -> Path:
    """The checkpoint of a student as its training would have left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"network.{name}": value for name, value in student.network.state_dict().items()}
    torch.save({"state_dict": weights, STUDENT: describe_parts(student.parts)}, path)
    return path


def road(seed: int = 0, size: tuple[int, int] = IMAGE_SIZE) -> np.ndarray:
    """Smooth noise, `(H, W, 3)` uint8."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 20, 3), dtype=np.uint8)
    return cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)


def write_roads(folder: Path, count: int, size: tuple[int, int] = IMAGE_SIZE) -> list[str]:
    """Images `clip/000.jpg` and so on in a folder; their names."""
    (folder / "clip").mkdir(parents=True)
    names = [f"clip/{number:03}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), road(number, size))
    return names


def write_video(path: Path, count: int, size: tuple[int, int] = IMAGE_SIZE, codec: str = "MJPG") -> Path:
    """A video that slides over a road."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, size[::-1])
    for number in range(count):
        writer.write(np.roll(road(0, size), 4 * number, axis=1))
    writer.release()
    return path
