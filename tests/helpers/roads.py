"""Test frames whose lanes are known, and predictions of them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lgad_lightning.data.source import LaneSource
from lgad_lightning.lanes import Lane, write_lines

SIZE = (590, 1640)


def lane(x: float, size: tuple[int, int] = SIZE) -> Lane:
    return Lane([(x, size[0] - 1), (x, size[0] // 2 + 1)], size)


class Roads(LaneSource):
    """Frame `i` has `i % 4` lanes."""

    def lanes(self, index: int, image_size: tuple[int, int]) -> list[Lane]:
        return [lane(300 + 300 * number, image_size) for number in range(index % 4)]

    def slots(self, index: int, lanes: Sequence[Lane]) -> Sequence[Lane | None]:
        raise NotImplementedError

    def scenario(self, index: int) -> str:
        return "night"


def make_roads(folder: Path, count: int = 8) -> Roads:
    """Writes black frames."""
    folder.mkdir(exist_ok=True)
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((*SIZE, 3), np.uint8))
    return Roads(folder, names, 4)


def predict(roads: Roads, folder: Path, shift: float = 0.0, leave_out: Sequence[int] = ()) -> Path:
    """Predictions: the last lane of each frame is beside the road by `shift`."""
    for index in range(len(roads)):
        lanes = roads.lanes(index, SIZE)
        found = [*lanes[:-1], *(lane(one.points[0, 0] + shift) for one in lanes[-1:])]
        if index not in leave_out:
            write_lines(folder / f"{index}.lines.txt", found)
    return folder
