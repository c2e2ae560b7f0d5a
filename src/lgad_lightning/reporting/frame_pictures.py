"""Makes the pictures of test frames for a page: a small photograph, and the lanes as lines over it."""

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.source import LaneSource
from lgad_lightning.lanes import Lane
from lgad_lightning.reporting.judging import Judged

_WIDTH = 820  # pixels; larger images are scaled down
_QUALITY = 78
_POINTS = 40  # largest number of points of a line


def picture_of(frame: Judged, source: LaneSource) -> dict[str, Any]:
    """Prepares a frame for the template.

    Args:
        frame: The frame.
        source: The source of its image.

    Returns:
        `image` (a data URI), `width` and `height` of the original, `lines` (class and points of each lane), `name`,
        `scenario` and a `caption` that counts the lanes.

    Raises:
        LgadError: If the image cannot be read.
    """
    height, width = frame.size
    missed, wrong = frame.found.count(False), frame.right.count(False)
    counts = {"found": frame.found.count(True), "missed": missed, "wrong": wrong}
    lines = [("found" if found else "missed", lane) for lane, found in zip(frame.target, frame.found, strict=True)]
    lines += [("right" if right else "wrong", lane) for lane, right in zip(frame.preds, frame.right, strict=True)]
    return {
        "image": jpeg(source.image(frame.index)),
        "width": width,
        "height": height,
        "lines": [(kind, _points(lane)) for kind, lane in lines if len(lane) > 1],
        "name": frame.name,
        "scenario": source.scenario(frame.index) or "",
        "caption": ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no lanes",
    }


def jpeg(image: NDArray[Any]) -> str:
    """Makes a data URI of an image that is scaled down for a page.

    Args:
        image: `(H, W, 3)`, uint8, blue-green-red.
    """
    height, width = image.shape[:2]
    if width > _WIDTH:
        image = cv2.resize(image, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _points(lane: Lane) -> str:
    """The points of a polyline."""
    kept: Sequence[int] = np.unique(np.linspace(0, len(lane) - 1, min(len(lane), _POINTS)).round().astype(int)).tolist()
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in lane.points[kept] if np.isfinite(x + y))
