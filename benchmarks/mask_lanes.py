"""How exactly lanes come back from masks: F1 of what is traced against the annotated lanes, by CULane's metric.

Traces the masks of a data set in CULane's layout, by class as `LaneFolderDataModule` does, and by connected part as it
does where masks only tell lane from background.

    python benchmarks/mask_lanes.py --root CULane
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lgad_lightning.data.pixels import read_mask
from lgad_lightning.lanes import Lane, read_lines, trace_parts, trace_slots
from lgad_lightning.lanes.lists import read_pairs
from lgad_lightning.metrics.functional import culane_iou, culane_scores, match_lanes


def by_class(mask: NDArray[np.uint8]) -> list[Lane]:
    return [lane for lane in trace_slots(mask, 4) if lane is not None]


def by_part(mask: NDArray[np.uint8]) -> list[Lane]:
    return trace_parts(mask > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--list", default="list/train_gt.txt")
    arguments = parser.parse_args()
    pairs = [(name, mask) for name, mask in read_pairs(arguments.root / arguments.list) if mask is not None]
    ways: dict[str, Callable[[NDArray[np.uint8]], list[Lane]]] = {"by class": by_class, "by part": by_part}
    table = Table("traced", "IoU above", "TP", "FP", "FN", "F1", "mean IoU", title=f"{len(pairs)} masks")
    for way, trace in ways.items():
        ious: list[float] = []
        found = annotated = 0
        for name, mask in pairs:
            target = [lane for lane in read_lines((arguments.root / name).with_suffix(".lines.txt")) if len(lane) > 1]
            lanes = trace(read_mask(arguments.root / mask, 4))
            matrix = culane_iou(lanes, target)
            ious += [float(matrix[pair]) for pair in match_lanes(matrix)]
            found, annotated = found + len(lanes), annotated + len(target)
        for threshold in (0.5, 0.75, 0.9):
            scores = culane_scores(sum(iou > threshold for iou in ious), found, annotated)
            shown = (str(scores["tp"]), str(scores["fp"]), str(scores["fn"]), f"{scores['f1']:.4f}")
            table.add_row(way, str(threshold), *shown, f"{np.mean(ious):.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
