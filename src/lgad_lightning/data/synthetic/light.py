"""Simulates light and sensor: a drawing looks like a photograph at night, against the sun, or with a cheap lens."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]
"""uint8, (H, W, 3), blue-green-red. The type is only an array, because OpenCV's functions declare no more."""

Lamp = tuple[NDArray[np.float64], bool, float]  # position in pixels, oncoming, size
_COARSE = 8  # light varies slowly, so it is computed on a grid that is coarser by this factor


def apply_light(
    image: Image, scenario: str, ahead: NDArray[np.float64], lamps: Sequence[Lamp], rng: np.random.Generator
) -> Image:
    """Adds light and the effects of a camera to a drawing.

    Args:
        image: The drawing, (H, W, 3). It may be overwritten.
        scenario: `night` and `hlight` (dazzling light) have their own light. All others have daylight.
        ahead: x and y of the vanishing point, in pixels.
        lamps: Lamps of the vehicles.
        rng: Source of exposure, blur and noise.

    Returns:
        The photograph, (H, W, 3).
    """
    height, width = image.shape[:2]
    if scenario == "night":
        image = _night(image, ahead, lamps, rng)
    elif scenario == "hlight":
        image = _dazzle(image, ahead, rng)
    gain = rng.uniform(0.75, 1.2)
    lift = rng.uniform(-15, 15)
    temper = rng.normal(1, 0.025, size=3)
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip(levels * gain * temper + lift * (levels > 0), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    blur = rng.random()
    if blur < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.6) * width / 1640 + 1e-3)
    sigma = rng.uniform(2, 5) * (2 if scenario == "night" else 1)
    row, column = rng.integers(0, 64, size=2)
    grain = _grain(height + 64, width + 64)[row : row + height, column : column + width]
    return cv2.addWeighted(image, 1.0, grain, sigma / 32, -4.0 * sigma)


@lru_cache(maxsize=2)
def _grain(height: int, width: int) -> Image:
    """Noise of mean 128 and deviation 32, the same in every process."""
    noise: NDArray[Any] = np.random.default_rng(1).standard_normal((height, width, 3), dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (3, 3), 0.6)  # the noise of neighbouring pixels is not independent in a camera
    grain: Image = np.clip(128 + 32 * noise / noise.std(), 0, 255).astype(np.uint8)
    return grain


def _grid(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows = np.arange(0, shape[0], _COARSE, dtype=np.float32)[:, None]
    columns = np.arange(0, shape[1], _COARSE, dtype=np.float32)[None]
    return rows, columns


def _glow(shape: tuple[int, ...], centre: NDArray[np.float64], radius: float, tall: float = 1.0) -> NDArray[np.float32]:
    rows, columns = _grid(shape)
    distance = ((columns - centre[0]) / radius) ** 2 + ((rows - centre[1]) / (radius * tall)) ** 2
    glow: NDArray[np.float32] = np.exp(-distance)
    return glow


def _enlarge(light: NDArray[np.float32], image: Image) -> Image:
    size = (image.shape[1], image.shape[0])
    return cv2.resize(np.clip(light, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)


def _night(image: Image, ahead: NDArray[np.float64], lamps: Sequence[Lamp], rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    road = np.array([ahead[0], ahead[1] + 0.28 * height])
    light = rng.uniform(0.06, 0.22) + rng.uniform(0.35, 0.75) * _glow(image.shape, road, 0.33 * width, 0.5)
    for _ in range(rng.integers(0, 5)):  # street lamps light patches of the road
        spot = np.array([rng.uniform(0, width), rng.uniform(ahead[1], height)])
        light += rng.uniform(0.1, 0.35) * _glow(image.shape, spot, rng.uniform(0.05, 0.2) * width, 0.4)
    tint = np.array([rng.uniform(0.6, 1.0), 0.9, 1.0], np.float32)
    image = cv2.multiply(image, _enlarge(light[..., None] * tint * 255, image), scale=1 / 255)
    glare = np.zeros((*light.shape, 3), np.float32)
    for centre, oncoming, size in lamps:
        colour = np.array([170, 200, 210] if oncoming else [20, 25, 160], np.float32)
        glare += colour * _glow(image.shape, centre, (0.9 if oncoming else 0.45) * width * size)[..., None]
    for _ in range(rng.integers(1, 9)):
        lamp = np.array([rng.uniform(0, width), rng.uniform(0, ahead[1])])
        glare += rng.uniform(60, 220) * tint * _glow(image.shape, lamp, rng.uniform(0.004, 0.02) * width)[..., None]
    return cv2.add(image, _enlarge(glare, image))


def _dazzle(image: Image, ahead: NDArray[np.float64], rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    sun = np.array([ahead[0] + rng.normal(0, 0.25 * width), ahead[1] - rng.uniform(0, 0.3) * height])
    light = rng.uniform(130, 230) * _glow(image.shape, sun, rng.uniform(0.12, 0.3) * width)
    mirror = np.array([sun[0], ahead[1] + rng.uniform(0.15, 0.6) * height])
    light += rng.uniform(60, 200) * _glow(image.shape, mirror, rng.uniform(0.06, 0.2) * width, rng.uniform(0.6, 2.0))
    light += rng.uniform(10, 70)  # a veil over everything
    tint = np.array([0.9, 0.97, 1.0], np.float32)
    dim = rng.uniform(0.45, 0.85)
    return cv2.add(cv2.convertScaleAbs(image, alpha=dim), _enlarge(light[..., None] * tint, image))
