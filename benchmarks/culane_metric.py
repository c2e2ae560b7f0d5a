"""How fast the CULane metric is: images a second of one process, files to counts, on the same files in the same run.

Ours runs against a straightforward port of the official evaluator (the spline in Python loops, both lanes of every pair
drawn on full canvases), whose counts it must equal, and against the widely copied Python metric (B-spline, truncated
coordinates, every lane drawn once on a full canvas), whose counts differ. CPU seconds; the three take turns.

    python benchmarks/culane_metric.py                       # on generated lanes
    python benchmarks/culane_metric.py --full --workers 1 2  # also lgad-eval on 34,680 images
    python benchmarks/culane_metric.py --pred DIR --data DIR --list FILE
"""

import argparse
import contextlib
import io
import itertools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.interpolate import splev, splprep
from scipy.optimize import linear_sum_assignment

from lgad_lightning.commands.evaluate import main as lgad_eval
from lgad_lightning.lanes import CULANE_SIZE, Lane, read_lines, write_lines
from lgad_lightning.lanes.lists import read_list
from lgad_lightning.metrics.functional import culane_counts

Counts = tuple[int, int, int]
Points = list[tuple[float, float]]
HEIGHT, WIDTH = CULANE_SIZE
LINE_WIDTH = 30
BAR = 15
TEST_IMAGES = 34680


# --- ours


def ours(pred: Path, target: Path) -> Counts:
    """The package's own metric."""
    lanes = [read_lines(path, strict=False) if path.exists() else [] for path in (pred, target)]
    (tp,), num_preds, num_target = culane_counts(*lanes)
    return tp, num_preds - tp, num_target - tp


# --- the straightforward port


def port(pred: Path, target: Path) -> Counts:
    """The official evaluator step by step, as one would write it down."""
    preds, lanes = parse(pred), parse(target)
    if not preds or not lanes:
        return 0, len(preds), len(lanes)
    similarity = [[port_iou(lane, other) for other in preds] for lane in lanes]
    tp = sum(similarity[i][j] > 0.5 for i, j in kuhn_munkres(similarity))
    return tp, len(preds) - tp, len(lanes) - tp


def parse(path: Path) -> list[Points]:
    """Lanes of a file of well-formed lines."""
    if not path.exists():
        return []
    lanes = []
    for line in path.read_text().splitlines():
        numbers = [float(np.float32(token)) for token in line.split()]
        lanes.append(list(zip(numbers[::2], numbers[1::2], strict=False)))
    return lanes


def port_iou(one: Points, other: Points) -> float:
    """IoU of two lanes, each drawn on a canvas of its own."""
    if len(one) < 2 or len(other) < 2:
        return 0.0
    canvases = []
    for points in (one, other):
        canvas = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        curve = port_spline(points) if len(points) > 2 else points
        for (x0, y0), (x1, y1) in itertools.pairwise(curve):
            cv2.line(canvas, (round(x0), round(y0)), (round(x1), round(y1)), 1, LINE_WIDTH)
        canvases.append(canvas)
    areas = [int(canvas.sum()) for canvas in canvases]
    shared = int((canvases[0] & canvases[1]).sum())
    union = sum(areas) - shared
    return shared / union if union else math.nan


def port_spline(points: Points) -> Points:
    """The natural cubic spline, by forward elimination and back substitution."""
    n = len(points)
    h = [math.dist(points[i], points[i + 1]) for i in range(n - 1)]
    curvature = []
    for axis in (0, 1):
        p = [point[axis] for point in points]
        upper, right = [0.0] * n, [0.0] * n
        for i in range(1, n - 1):
            bend = 6 * ((p[i + 1] - p[i]) / h[i] - (p[i] - p[i - 1]) / h[i - 1])
            pivot = 2 * (h[i - 1] + h[i]) - h[i - 1] * upper[i - 1]
            upper[i] = h[i] / pivot
            right[i] = (bend - h[i - 1] * right[i - 1]) / pivot
        m = [0.0] * n
        for i in range(n - 2, 0, -1):
            m[i] = right[i] - upper[i] * m[i + 1]
        curvature.append(m)
    curve = []
    for i in range(n - 1):
        for k in range(50):
            t = h[i] / 50 * k
            sample = []
            for axis, m in enumerate(curvature):
                a, end = points[i][axis], points[i + 1][axis]
                b = (end - a) / h[i] - h[i] * (2 * m[i] + m[i + 1]) / 6
                sample.append(float(np.float32(a + b * t + m[i] / 2 * t**2 + (m[i + 1] - m[i]) / (6 * h[i]) * t**3)))
            curve.append((sample[0], sample[1]))
    return [*curve, points[-1]]


def kuhn_munkres(similarity: list[list[float]]) -> list[tuple[int, int]]:
    """Maximum-weight matching with an equality tolerance of 0.01."""
    transposed = len(similarity) > len(similarity[0])
    weight = [list(column) for column in zip(*similarity, strict=True)] if transposed else similarity
    rows, columns = range(len(weight)), range(len(weight[0]))
    left, right, match = [max(row) for row in weight], [0.0 for _ in columns], [-1 for _ in columns]

    def search(u: int) -> bool:
        used_left.add(u)
        for v in columns:
            if v not in used_right and abs(left[u] + right[v] - weight[u][v]) < 1e-2:
                used_right.add(v)
                if match[v] == -1 or search(match[v]):
                    match[v] = u
                    return True
        return False

    for row in rows:
        used_left: set[int] = set()
        used_right: set[int] = set()
        while not search(row):
            delta = min(left[u] + right[v] - weight[u][v] for u in used_left for v in columns if v not in used_right)
            for u in used_left:
                left[u] -= delta
            for v in used_right:
                right[v] += delta
            used_left, used_right = set(), set()
    pairs = [(u, v) for v, u in enumerate(match) if u >= 0]
    return [(v, u) for u, v in pairs] if transposed else pairs


# --- the widely copied Python metric


def b_spline(pred: Path, target: Path) -> Counts:
    """B-spline, truncated coordinates, each lane drawn once on a full canvas; lanes of one point are dropped."""
    preds, lanes = ([np.array(lane) for lane in parse(path) if len(lane) > 1] for path in (pred, target))
    if not preds or not lanes:
        return 0, len(preds), len(lanes)
    drawn_preds, drawn_lanes = ([b_spline_mask(lane) for lane in group] for group in (preds, lanes))
    iou = np.array([[(a & b).sum() / (a | b).sum() for b in drawn_preds] for a in drawn_lanes])
    tp = int((iou[linear_sum_assignment(1 - iou)] > 0.5).sum())
    return tp, len(preds) - tp, len(lanes) - tp


def b_spline_mask(points: np.ndarray) -> np.ndarray:
    knots, parameters = splprep(points.T, s=0, k=min(3, len(points) - 1))
    curve = np.array(splev(np.linspace(0, 1, (len(parameters) - 1) * 50 + 1), knots)).T.astype(int)
    canvas = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for start, end in itertools.pairwise(curve):
        cv2.line(canvas, start.tolist(), end.tolist(), 1, LINE_WIDTH)
    return canvas > 0


# --- the files and the clock


def generate(root: Path, num_images: int, seed: int = 0) -> None:
    """Write lanes like CULane's (3.4 an image, 23 points each) and predictions of middling quality."""
    rng = np.random.default_rng(seed)
    names = []
    for index in range(num_images):
        vanishing = rng.normal([820, 270], [80, 15])
        lanes = []
        for bottom in np.array([100, 600, 1100, 1600])[rng.random(4) < 0.86] + rng.normal(0, 60):
            y = np.arange(590, rng.integers(270, 460), -10)
            share = (590 - y) / (590 - vanishing[1])
            x = bottom + (vanishing[0] - bottom) * share + rng.normal(0, 60) * share * (1 - share)
            lanes.append(np.stack([x, y], axis=1))
        found = []
        for lane in lanes:
            if rng.random() < 0.9:
                rough = lane[rng.integers(0, 2) :] + rng.normal(0, 6) + rng.normal(0, 1.5, lane.shape)[-1]
                found.append(np.round(rough + rng.normal(0, 1, rough.shape), 2))
        if lanes and rng.random() < 0.1:
            found.append(np.round(lanes[0] + [rng.uniform(-300, 300), 0], 2))
        name = f"drive/{index // 1000:03d}.MP4/{index % 1000:05d}"
        write_lines(root / "gt" / f"{name}.lines.txt", [Lane(np.round(lane, 3), CULANE_SIZE) for lane in lanes])
        write_lines(root / "pred" / f"{name}.lines.txt", [Lane(lane, CULANE_SIZE) for lane in found])
        names.append(f"/{name}.jpg\n")
    (root / "list.txt").write_text("".join(names))


def compare(pred: Path, data: Path, names: list[str], rounds: int, console: Console) -> bool:
    """Print the three metrics' speed; say whether the bar was reached."""
    contestants: dict[str, Callable[[Path, Path], Counts]] = {
        "straightforward port": port,
        "B-spline metric": b_spline,
        "lgad-lightning": ours,
    }
    files = [(pred / path, data / path) for path in (Path(name).with_suffix(".lines.txt") for name in names)]
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    counts: dict[str, list[Counts]] = {}
    for _ in range(rounds):
        for name, metric in contestants.items():
            start = time.process_time()
            counts[name] = [metric(*pair) for pair in files]
            seconds[name].append(time.process_time() - start)
    assert counts["lgad-lightning"] == counts["straightforward port"], "the counts differ from the port's"

    table = Table("metric", "images/s", "times the port", "TP", "FP", "FN", title=f"{len(files)} images")
    ratios = {
        name: sorted(p / s for p, s in zip(seconds["straightforward port"], times, strict=True))[rounds // 2]
        for name, times in seconds.items()
    }
    for name, times in seconds.items():
        totals = (str(sum(column)) for column in zip(*counts[name], strict=True))
        table.add_row(name, f"{len(files) / sorted(times)[rounds // 2]:.1f}", f"{ratios[name]:.1f}", *totals)
    console.print(table)
    return ratios["lgad-lightning"] >= BAR


def full_job(root: Path, workers: list[int], console: Console) -> None:
    """Time lgad-eval on a test set of CULane's size."""
    console.print(f"Writing {TEST_IMAGES} images' lanes to {root} ...")
    generate(root, TEST_IMAGES)
    arguments = ["culane", "--pred", f"{root}/pred", "--data", f"{root}/gt", "--list", f"{root}/list.txt"]
    for number in workers:
        start, cpu_start = time.perf_counter(), cpu_seconds()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lgad_eval([*arguments, "--workers", str(number), "--json", f"{root}/result.json"])
        elapsed = time.perf_counter() - start
        cpu = cpu_seconds() - cpu_start
        total = json.loads((root / "result.json").read_text())["total"]
        console.print(
            f"{number} workers: {elapsed:.1f} s, {TEST_IMAGES / elapsed:.0f} images/s, {cpu:.1f} CPU seconds of all "
            f"processes, F1 {total['f1']:.4f}"
        )


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60, help="number of generated images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pred", type=Path, help="folder of predictions, instead of generated ones")
    parser.add_argument("--data", type=Path, help="folder of annotations")
    parser.add_argument("--list", type=Path, help="list of images")
    parser.add_argument("--full", action="store_true", help=f"time lgad-eval on {TEST_IMAGES} generated images")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of processes for --full")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if options.pred is None:
            generate(root / "small", options.images)
            reached = compare(
                root / "small/pred",
                root / "small/gt",
                list(read_list(root / "small/list.txt")),
                options.rounds,
                console,
            )
        else:
            reached = compare(options.pred, options.data, list(read_list(options.list)), options.rounds, console)
        console.print(f"bar of {BAR} times the port: {'reached' if reached else 'MISSED'}")
        if options.full:
            full_job(root / "full", options.workers, console)


if __name__ == "__main__":
    main()
