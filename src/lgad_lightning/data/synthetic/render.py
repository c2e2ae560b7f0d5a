"""Draws a scene: ground, paint, roadside, vehicles, light."""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lgad_lightning.data.synthetic.light import Image, apply_light
from lgad_lightning.data.synthetic.scene import FAR, FOCAL, NEAR, REFERENCE_SIZE, WHITE, Colour, Scene, Vehicle

_TILE = 512
_SUBPIXEL = 4  # fractional bits of polygon corners


def render(scene: Scene, image_size: tuple[int, int] = REFERENCE_SIZE) -> Image:
    """Draws a scene as a camera behind the windscreen sees it.

    Args:
        scene: What to draw.
        image_size: Height and width of the picture, at most 590 x 1640.

    Returns:
        The picture, (H, W, 3), blue-green-red. Equal scenes give equal pictures.

    Example:
        >>> from lgad_lightning.data.synthetic.scene import sample_scene
        >>> render(sample_scene("night", np.random.default_rng(1)), (118, 328)).shape
        (118, 328, 3)
    """
    canvas = _Canvas(scene, image_size)
    rng = np.random.default_rng(scene.detail)
    canvas.sky(rng)
    canvas.ground(rng)
    canvas.shadows(rng)
    canvas.paint(rng)
    canvas.roadside(rng)
    for vehicle in scene.vehicles:
        canvas.vehicle(vehicle)
    if rng.random() < 0.4:
        canvas.bonnet(rng)
    lamps = [(canvas.pixels(v.across, v.ahead, 0.8)[0], v.oncoming, 1 / v.ahead) for v in scene.vehicles]
    return apply_light(canvas.image, scene.scenario, canvas.pixels(0.0, FAR)[0], lamps, rng)


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    """A tile of noise with detail at several scales: mean 0, deviation 1, the same in every process."""
    rng = np.random.default_rng(0)
    tile: NDArray[Any] = np.zeros((_TILE, _TILE), np.float32)
    for cells, weight in ((8, 1.0), (32, 0.8), (128, 0.8), (_TILE, 0.7)):
        octave = rng.standard_normal((cells, cells)).astype(np.float32)
        tile += weight * cv2.resize(octave, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
    normalised: NDArray[np.float32] = ((tile - tile.mean()) / tile.std()).astype(np.float32)
    return normalised


class _Canvas:
    """The picture that is drawn, with the perspective of the scene."""

    def __init__(self, scene: Scene, image_size: tuple[int, int]) -> None:
        self.scene = scene
        self.height, self.width = image_size
        self.image: Image = np.zeros((self.height, self.width, 3), np.uint8)
        self.scale = np.array([self.width / REFERENCE_SIZE[1], self.height / REFERENCE_SIZE[0]])
        self.horizon = int(scene.road.horizon * self.scale[1])

    def pixels(self, across: ArrayLike, ahead: ArrayLike, above: ArrayLike = 0.0) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = np.atleast_2d(self.scene.road.project(across, ahead, above)) * self.scale
        return scaled

    def fill(self, image: Image, points: NDArray[np.float64], colour: Colour | float) -> None:
        corners = np.round(np.clip(points, -8000, 8000) * 2**_SUBPIXEL).astype(np.int32)
        cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, _SUBPIXEL)

    def metres(self, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """The positions on the road of pixels below the horizon, in metres across and ahead."""
        road = self.scene.road
        ahead = FOCAL * road.camera_height / np.maximum(rows / self.scale[1] - road.horizon, 1.0)
        across = (columns / self.scale[0] - road.vanishing) * ahead / FOCAL - road.curvature * ahead * ahead / 2
        return across.astype(np.float32), ahead.astype(np.float32)

    def sky(self, rng: np.random.Generator) -> None:
        blueness = rng.uniform(0, 70)
        top = rng.uniform(130, 185) + np.array([blueness, 0.25 * blueness, -0.4 * blueness])
        low = np.clip(top + rng.uniform(10, 50), 0, 245)
        blend = np.linspace(0, 1, self.horizon + 1)[:, None]
        self.image[: self.horizon + 1] = (top + (low - top) * blend)[:, None]
        row, column = rng.integers(0, 256, size=2)
        clouds = cv2.resize(_noise()[row : row + 40, column : column + 80], (self.width, self.horizon + 1))
        clouds = np.clip(clouds * 35 * rng.uniform(0, 1), 0, 70).astype(np.uint8)
        self.image[: self.horizon + 1] = cv2.add(self.image[: self.horizon + 1], cv2.merge([clouds] * 3))

    def ground(self, rng: np.random.Generator) -> None:
        """Draws asphalt between verges, at half resolution. The noise of the sensor adds fine grain later."""
        rows = np.arange(self.horizon, self.height, 2, dtype=np.float32)[:, None]
        columns = np.arange(0, self.width, 2, dtype=np.float32)[None]
        across, ahead = self.metres(rows, columns)
        profile = self._profile(rng)
        colour = profile[np.clip((across + 24) * (len(profile) / 48), 0, len(profile) - 1).astype(np.int32)]
        shift = rng.uniform(0, _TILE, size=2).astype(np.float32)
        u, v = across * 24 + shift[0], np.broadcast_to(ahead * 7 + shift[1], across.shape)
        noise = cv2.remap(_noise(), np.mod(u, _TILE), np.mod(v, _TILE), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        fade = np.clip((rows - self.horizon) / (0.25 * self.height), 0.15, 1) * rng.uniform(0.03, 0.13)
        textured = np.clip(colour * (1 + noise * fade)[..., None], 0, 255).astype(np.uint8)
        self.image[self.horizon :] = cv2.resize(textured, (self.width, self.height - self.horizon))

    def _profile(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """The colours of the ground from -24 to 24 metres across: verge, kerb, asphalt, wheel tracks, tar seams."""
        across = np.linspace(-24, 24, 4096)
        asphalt = rng.uniform(65, 135) * np.array([1.0, 0.99, 0.97]) + rng.normal(0, 3, 3)
        profile = np.tile(asphalt, (len(across), 1))
        lanes = sorted(self.scene.boundaries.values())
        for left, right in pairwise(lanes):
            depth = rng.uniform(-0.13, 0.1)
            for track in ((left + right) / 2 - 0.8, (left + right) / 2 + 0.8):
                profile *= 1 + depth * np.exp(-(((across - track) / 0.35) ** 2))[:, None]
        for _ in range(rng.integers(0, 4)):  # seams and joints look like lane lines, but they are not
            seam, tone = rng.uniform(-8, 8), rng.uniform(0.55, 1.25)
            profile[np.abs(across - seam) < rng.uniform(0.02, 0.06)] *= tone
        for side, edge in zip((-1, 1), self.scene.edges, strict=True):
            beyond = side * (across - edge)
            verge = [(60, 105, 85), (120, 122, 124), (75, 95, 110)][rng.integers(3)] * rng.uniform(0.6, 1.2, size=1)
            profile[beyond > 0] = verge
            profile[(beyond > 0) & (beyond < 0.25)] = rng.uniform(110, 190)
        return profile.astype(np.float32)

    def shadows(self, rng: np.random.Generator) -> None:
        if not self.scene.shadows:
            return
        shade: Image = np.full((self.height, self.width), 255, np.uint8)
        dark = rng.uniform(85, 150)
        for outline in self.scene.shadows:
            self.fill(shade, self.pixels(outline[:, 0], outline[:, 1]), dark)
        size = 2 * int(rng.integers(1, 6)) + 1
        shade = cv2.blur(shade[self.horizon :], (size, size))
        below = self.image[self.horizon :]
        cv2.multiply(below, cv2.merge([shade] * 3), dst=below, scale=1 / 255)

    def paint(self, rng: np.random.Generator) -> None:
        """Markings, arrows and crossings, with their wear."""
        colours: dict[Colour, Image] = {}
        for marking in self.scene.markings:
            layer = colours.setdefault(marking.colour, np.zeros((self.height, self.width), np.uint8))
            period = marking.dash + marking.gap
            starts = np.arange(NEAR - marking.phase, FAR, period) if marking.dash else np.array([NEAR])
            for start in starts:
                stop = start + marking.dash if marking.dash else FAR
                ahead = np.geomspace(max(start, 2.0), max(min(stop, FAR), 2.01), 6 if marking.dash else 30)
                self._stripe(layer, marking.across, marking.width, ahead, 255 * marking.strength)
        white = colours.setdefault(WHITE, np.zeros((self.height, self.width), np.uint8))
        for arrow in self.scene.arrows:
            self._arrow(white, *arrow)
        for start in self.scene.zebra:
            for across in np.arange(-14, 14, 1.2):
                self._stripe(white, across, 0.5, np.array([start, start + 4.0]), 215)
            self._stripe(white, 2.0, 7.0, np.array([start - 1.6, start - 1.3]), 200)
        for colour, layer in colours.items():
            self._blend(layer, colour, rng)

    def _stripe(self, layer: Image, across: float, width: float, ahead: NDArray[np.float64], value: float) -> None:
        left = self.pixels(across - width / 2, ahead)
        right = self.pixels(across + width / 2, ahead)
        self.fill(layer, np.concatenate([left, right[::-1]]), value)

    def _arrow(self, layer: Image, across: float, ahead: float, turn: int) -> None:
        shaft = np.array([[-0.1, 0], [0.1, 0], [0.1, 3.2], [-0.1, 3.2]])
        head = np.array([[-0.45, 3.0], [0.45, 3.0], [0, 5.0]])
        if turn:
            head = np.array([[0.0, 2.6], [0.0, 4.2], [0.9, 3.4]]) * [turn, 1]
        for part in (shaft, head):
            self.fill(layer, self.pixels(across + part[:, 0], ahead + part[:, 1]), 225)

    def _blend(self, layer: Image, colour: Colour, rng: np.random.Generator) -> None:
        rows, columns = np.nonzero(layer)
        if not len(rows):
            return
        cover = layer[rows, columns].astype(np.float32) / 255
        across, ahead = self.metres(rows.astype(np.float32), columns.astype(np.float32))
        shift = rng.integers(0, _TILE, size=2)
        worn = _noise()[
            (across * 30 + shift[0]).astype(np.int32) % _TILE, (ahead * 10 + shift[1]).astype(np.int32) % _TILE
        ]
        if self.scene.wear:
            # The share `wear` of a standard normal variable lies below this threshold.
            threshold = 3.2 * (min(self.scene.wear, 0.9) - 0.5)
            cover *= np.clip((worn - threshold) * 1.5 + 0.5, 0.04, 1)
        under = self.image[rows, columns].astype(np.float32)
        lit = np.array(colour, np.float32) * (0.35 + 0.65 * under.mean(1, keepdims=True) / max(under.mean(), 1))
        over = np.clip(lit * (1 + 0.05 * worn)[:, None], 0, 255)
        self.image[rows, columns] = (under + cover[:, None] * (over - under)).astype(np.uint8)

    def roadside(self, rng: np.random.Generator) -> None:
        """Draws trees or houses that are higher towards the borders, poles and a guard rail."""
        vanishing = self.pixels(0.0, FAR)[0, 0]
        columns = np.arange(self.width)
        row, column = rng.integers(0, 256, size=2)
        leaves = cv2.resize(_noise()[row : row + 128, column : column + 256], (self.width, self.horizon + 1))
        for side in (-1, 1):
            grow = np.clip(side * (columns - vanishing) / self.width, 0, None)
            bumps = np.interp(columns, np.linspace(0, self.width, 60), rng.uniform(0.3, 1, 60))
            rise = self.height * (0.02 + rng.uniform(0.1, 0.9) * grow**0.8 * bumps)
            top = np.maximum(self.horizon - rise, 0).astype(int)
            chosen = columns[side * (columns - vanishing) > -0.05 * self.width]
            outline = np.concatenate(
                [np.stack([chosen, top[chosen]], 1), [[chosen[-1], self.horizon], [chosen[0], self.horizon]]]
            )
            cover = np.zeros((self.horizon + 1, self.width), np.uint8)
            self.fill(cover, outline.astype(float), 255)
            tone = [(45, 75, 55), (95, 100, 110), (60, 70, 85)][rng.integers(3)] * rng.uniform(0.5, 1.2, size=1)
            inside = cover > 0
            self.image[: self.horizon + 1][inside] = np.clip(tone * (1 + 0.22 * leaves[inside])[:, None], 0, 255)
        for side, edge in zip((-1, 1), self.scene.edges, strict=True):
            if abs(edge) > 30:
                continue
            beyond = edge + side * rng.uniform(0.4, 1.5)
            if rng.random() < 0.35:
                low, high = self._rail(beyond, 0.45), self._rail(beyond, 0.75)
                self.fill(self.image, np.concatenate([low, high[::-1]]), (rng.uniform(110, 200),) * 3)
            for ahead in np.arange(rng.uniform(7, 25), FAR, rng.uniform(12, 35)) if rng.random() < 0.6 else ():
                foot, tip = (
                    self.pixels(beyond + side, ahead)[0],
                    self.pixels(beyond + side, ahead, rng.uniform(4, 9))[0],
                )
                thickness = max(1, int(160 * self.scale[0] / ahead))
                cv2.line(self.image, foot.astype(int).tolist(), tip.astype(int).tolist(), (60, 65, 70), thickness)

    def _rail(self, across: float, above: float) -> NDArray[np.float64]:
        return self.pixels(across, np.geomspace(NEAR, FAR, 24), above)

    def vehicle(self, vehicle: Vehicle) -> None:
        half, tall, near = vehicle.width / 2, vehicle.height, vehicle.ahead
        body = np.array(vehicle.colour)
        x0, x1 = vehicle.across - half, vehicle.across + half

        def quad(left: float, right: float, low: float, high: float, inset: float, colour: ArrayLike) -> None:
            corners = self.pixels([left, right, right - inset, left + inset], near, [low, low, high, high])
            self.fill(self.image, corners, tuple(np.clip(np.asarray(colour, float), 0, 255)))

        shadow = self.pixels([x0 - 0.2, x1 + 0.2, x1, x0], [near - 0.1] * 2 + [near + vehicle.length] * 2)
        self.fill(self.image, shadow, (28.0, 28.0, 28.0))
        side = x0 if vehicle.across > 0 else x1  # the flank that faces the camera
        flank = self.pixels(side, [near, near + vehicle.length] * 2, [0.25, 0.25, tall * 0.95, tall * 0.95])[
            [0, 1, 3, 2]
        ]
        self.fill(self.image, flank, tuple(body * 0.6))
        for wheel in (x0, x1 - 0.22):
            quad(wheel, wheel + 0.22, 0.0, 0.4, 0, (18, 18, 18))
        quad(x0, x1, 0.25, tall * 0.6, 0, body)
        quad(x0, x1, tall * 0.6, tall, 0.06 * vehicle.width, body * 0.9)
        quad(x0 + 0.15, x1 - 0.15, tall * 0.62, tall * 0.93, 0.05 * vehicle.width, (60, 50, 42))
        quad(vehicle.across - 0.25, vehicle.across + 0.25, 0.5, 0.62, 0, (200, 120, 60))
        lamp = (230, 240, 245) if vehicle.oncoming else (40, 40, 190)
        for left in (x0 + 0.05, x1 - 0.35):
            quad(left, left + 0.3, tall * 0.45, tall * 0.56, 0, lamp)

    def bonnet(self, rng: np.random.Generator) -> None:
        """Draws the bonnet of the camera's car over the lowest rows."""
        centre = (int(self.width * rng.uniform(0.45, 0.6)), int(self.height * rng.uniform(1.05, 1.15)))
        axes = (int(self.width * rng.uniform(0.35, 0.5)), int(self.height * rng.uniform(0.15, 0.3)))
        tone = rng.uniform(15, 70)
        cv2.ellipse(self.image, centre, axes, 0, 0, 360, (tone, tone, tone * 0.9), -1, cv2.LINE_AA)
