"""Draws found lanes over their image."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lgad_lightning.drawing import COLOURS
from lgad_lightning.inference.found import FoundLane


def draw_lanes(image: NDArray[np.uint8], lanes: Sequence[FoundLane]) -> NDArray[np.uint8]:
    """Draws lanes over an image. Each has the colour of its slot, and its confidence at the lower end.

    Args:
        image: `(H, W, 3)`, blue-green-red. It is not changed.
        lanes: The lanes that were found in it.

    Returns:
        A new image of the same size.
    """
    picture = image.copy()
    width = picture.shape[1]
    thickness = max(1, round(width / 250))
    for lane in lanes:
        red, green, blue = (int(value) for value in COLOURS[(lane.slot - 1) % len(COLOURS)])
        points = np.rint(lane.points).astype(np.int32)
        cv2.polylines(picture, [points], False, (blue, green, red), thickness, cv2.LINE_AA)
        x, y = points[points[:, 1].argmax()].tolist()
        text = f"{lane.confidence:.2f}" if lane.track is None else f"#{lane.track} {lane.confidence:.2f}"
        corner = (min(max(x, 0), max(width - 8 * len(text), 0)), max(y - 2 * thickness, 10))
        for colour, stroke in (((0, 0, 0), 3), ((255, 255, 255), 1)):  # readable on any ground
            cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, max(width / 2400, 0.4), colour, stroke)
    return picture
