"""Checks whether an exported file computes the same as its student."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lgad_lightning.data.synthetic import render, sample_scene
from lgad_lightning.export.modules import ExportableNetwork
from lgad_lightning.extras import import_extra
from lgad_lightning.inference.engine import Engine, TorchEngine

LARGEST = 1e-4
"""Largest allowed difference of the logits in fp32, relative to the largest logit."""
LARGEST_SHARE = 0.05
"""Largest allowed share of lane points that differ in fp32. Some differ if two columns are equally probable."""
_IMAGES = 4


class LaneParity(NamedTuple):
    """How far the lanes of two engines agree.

    Attributes:
        points: Number of points that at least one of them found.
        differing: Number of points that only one of them found, or that are more than a pixel apart.
    """

    points: int
    differing: int


def sample_frames(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Draws pictures of roads. They are the same at each call.

    Args:
        size: Height and width in pixels.
    """
    random = np.random.default_rng(0)
    roads = [render(sample_scene("normal", random)) for _ in range(_IMAGES)]
    return [cv2.resize(road, size[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8) for road in roads]


def logits_difference(core: Any, engine: TorchEngine, frames: Sequence[NDArray[np.uint8]]) -> float:
    """Computes the largest difference between logits of a graph and of its student, relative to the largest logit.

    Args:
        core: The graph, an `onnx.ModelProto`; ONNX Runtime runs it.
        engine: Runs the student.
        frames: Images `(H, W, 3)`, blue-green-red.
    """
    onnxruntime = import_extra("onnxruntime", "export", "The comparison of an export with its student")
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(core.SerializeToString(), providers=["CPUExecutionProvider"])
    network, worst, largest = ExportableNetwork(engine.student.network).cpu(), 0.0, 0.0
    for frame in frames:
        pixels, _ = engine.prepare(frame, "a frame")
        image = engine.info.preprocessing.normalise(torch.from_numpy(pixels)[None])
        with torch.no_grad():
            expected = network(image)[0].numpy()
        found = session.run(["logits"], {"image": image.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    return worst / max(largest, 1e-12)


def lane_parity(engine: Engine, other: Engine, frames: Sequence[NDArray[np.uint8]]) -> LaneParity:
    """Compares the lanes that two engines find.

    Args:
        engine: The first engine.
        other: The second engine.
        frames: Images `(H, W, 3)`, blue-green-red.
    """
    points = differing = 0
    for frame in frames:
        one, two = (_columns(each, frame) for each in (engine, other))
        for place in one.keys() | two.keys():
            ours, its = sorted(one[place]), sorted(two[place])
            points += max(len(ours), len(its))
            differing += abs(len(ours) - len(its)) + sum(abs(a - b) > 1 for a, b in zip(ours, its, strict=False))
    return LaneParity(points, differing)


def _columns(engine: Engine, image: NDArray[np.uint8]) -> dict[tuple[int, float], list[float]]:
    """The columns of the points by slot and row. Without slots, several lanes may have a point in a row."""
    pixels, frame = engine.prepare(image, "a frame")
    found: dict[tuple[int, float], list[float]] = defaultdict(list)
    for lane in engine.run(pixels[None], [frame]).lanes[0]:
        for x, y in lane.points.tolist():
            found[lane.slot, y].append(x)
    return found
