"""What finding lanes costs, by engine, in one run: milliseconds an image, and ratios to eager PyTorch at batch 1.

Each network runs eager, channels-last, compiled (`--compile`, minutes), in ONNX Runtime and in OpenVINO, in fp32 and
int8; ONNX Runtime and OpenVINO fold the norms themselves. All take turns, and the median of the rounds counts. Then
`lgad-predict` finds lanes in 1640x590 JPEGs, and its whole time is set beside that of its slowest phase alone, since
reading, network and writing overlap. Needs the extra `export`. On a machine that does other work meanwhile the figures
mean little.

    python benchmarks/inference.py
    python benchmarks/inference.py --networks ENet --size 800x288 --batches 1 8 --rounds 30 --json inference.json
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lgad_lightning import ENet, ERFNet, LaneStudent, LgadError, Preprocessing
from lgad_lightning.export.build import ExportPlan, build_onnx
from lgad_lightning.export.parity import sample_frames
from lgad_lightning.inference.engine import TorchEngine
from lgad_lightning.inference.folder import open_folder
from lgad_lightning.inference.outputs import Outputs
from lgad_lightning.inference.run import predict_sources
from lgad_lightning.inference.sources import open_sources
from lgad_lightning.lanes import CULANE_SIZE, CULaneDecoder
from lgad_lightning.modules.description import StudentParts
from lgad_lightning.networks import ResNet

NETWORKS = {"ENet": ENet, "ERFNet": ERFNet, "ResNet": ResNet}
NAMES = ("background", "left-left", "ego-left", "ego-right", "right-right")
BARS = {"ONNX Runtime fp32": 1.6, "OpenVINO fp32": 1.6, "ONNX Runtime int8": 3.0, "OpenVINO int8": 3.0}


def student(kind: Any, size: tuple[int, int]) -> LaneStudent:
    """A student with random weights."""
    torch.manual_seed(0)
    network = kind(num_classes=5, input_size=size)
    return LaneStudent.of_parts(
        StudentParts(network, CULaneDecoder(), Preprocessing(size), "culane", NAMES, image_size=CULANE_SIZE)
    )


def contestants(
    model: LaneStudent, batch: int, threads: int, compiled: bool
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What runs a network on a batch, by name."""
    import onnxruntime
    import openvino

    assert model.preprocessing is not None
    pixels = np.stack([model.preprocessing.cut(frame)[0] for frame in sample_frames(CULANE_SIZE)])
    images = model.preprocessing.normalise(torch.from_numpy(pixels))
    batch_of = images[torch.arange(batch) % len(images)].contiguous()
    yield "eager", lambda: model.network(batch_of)
    last = student(type(model.network), model.preprocessing.input_size).network.to(memory_format=torch.channels_last)
    last.load_state_dict(model.network.state_dict())
    last_batch = batch_of.to(memory_format=torch.channels_last)
    yield "channels-last", lambda: last(last_batch)
    if compiled:
        fast = torch.compile(model.network)
        yield "torch.compile", lambda: fast(batch_of)
    value = batch_of.numpy()
    for precision in ("fp32", "int8"):
        calibration = [image[None].numpy() for image in images]
        graph = build_onnx(model, ExportPlan(precision, dynamic=batch > 1), calibration).core.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        yield f"ONNX Runtime {precision}", lambda session=session: session.run(None, {"image": value})
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        vino = openvino.compile_model(openvino.Core().read_model(graph), "CPU", settings)
        yield f"OpenVINO {precision}", lambda vino=vino: vino([value])


def measure(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, all in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for number in range(rounds + 2):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if number >= 2:  # the first ones warm up
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def whole_command(model: LaneStudent, images: int, batch: int) -> dict[str, float]:
    """Seconds of a whole prediction on JPEGs, and of its slowest phase alone."""
    with tempfile.TemporaryDirectory() as folder:
        frames = sample_frames(CULANE_SIZE)
        (Path(folder) / "frames").mkdir()
        for number in range(images):
            cv2.imwrite(f"{folder}/frames/{number:04}.jpg", frames[number % len(frames)])
        engine, sources = TorchEngine(model), open_sources([f"{folder}/frames"])
        with Outputs(Path(folder, "out"), {"lines"}, open_folder(Path(folder, "out"), {}, False, False)) as outputs:
            summary = predict_sources(engine, sources, outputs, batch)
    slowest = min(summary["frames_per_second_of_phase"].values())
    return {"seconds": summary["seconds"], "slowest_phase": images / slowest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--size", default="800x288", metavar="WxH", help="the networks' input (default: 800x288)")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", type=int, default=100, help="JPEGs for the whole command (default: 100)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="also torch.compile")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    width, height = map(int, arguments.size.split("x"))
    console, figures = Console(), {}
    for name in arguments.networks:
        with suppress(LgadError):  # ResNet without timm
            model = student(NETWORKS[name], (height, width))
            figures[name] = report(model, name, arguments, console)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2))


def report(model: LaneStudent, name: str, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measures a network, and prints its table."""
    found: dict[str, Any] = {}
    table = Table("engine", "batch", "ms an image", "ratio", "bar", title=f"{name}, {arguments.threads} threads")
    baseline = None
    for batch in arguments.batches:
        times = measure(dict(contestants(model, batch, arguments.threads, arguments.compile)), arguments.rounds)
        baseline = baseline or times["eager"] / batch
        for engine, seconds in times.items():
            ratio = baseline / (seconds / batch)
            found[f"{engine}, batch {batch}"] = {"ms": 1000 * seconds / batch, "ratio": ratio}
            bar = str(BARS.get(engine, "")) if batch == 1 else ""
            table.add_row(engine, str(batch), f"{1000 * seconds / batch:.1f}", f"{ratio:.2f}", bar)
    console.print(table)
    whole = whole_command(model, arguments.images, max(arguments.batches))
    ratio = whole["seconds"] / whole["slowest_phase"]
    console.print(f"lgad-predict on {arguments.images} JPEGs: {ratio:.2f} of its slowest phase (bar: 1.15)\n")
    return found | {"lgad-predict": whole | {"ratio": ratio}}


if __name__ == "__main__":
    main()
