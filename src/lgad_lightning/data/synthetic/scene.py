"""Samples the contents of a synthetic road scene, in metres. They do not depend on the size of the picture."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCENARIOS = ("normal", "crowd", "hlight", "shadow", "noline", "arrow", "curve", "cross", "night")
"""CULane's nine test scenarios, in the order and spelling of its `list/test_split` files."""

REFERENCE_SIZE = (590, 1640)
"""Height and width of the picture for `Road.project`. It is the size of CULane's images."""

FOCAL = 1000.0
NEAR, FAR = 3.0, 90.0

Colour = tuple[float, float, float]
WHITE: Colour = (222.0, 226.0, 226.0)
YELLOW: Colour = (70.0, 170.0, 215.0)


@dataclass(frozen=True, slots=True)
class Road:
    """A flat road in front of a pinhole camera.

    Args:
        horizon: Row of the horizon, in pixels.
        vanishing: Column straight ahead, in pixels.
        camera_height: Height of the camera above the ground, in metres.
        curvature: Curvature of the road, in 1/m. A positive value bends to the right.

    Example:
        >>> road = Road(horizon=270, vanishing=820, camera_height=1.25, curvature=0)
        >>> road.project(1.75, 10.0).tolist()
        [995.0, 395.0]
    """

    horizon: float
    vanishing: float
    camera_height: float
    curvature: float

    def project(self, across: ArrayLike, ahead: ArrayLike, above: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Projects points of the road frame to pixels.

        Args:
            across: Metres to the right of the road's axis.
            ahead: Metres ahead of the camera.
            above: Metres above the ground.

        Returns:
            x and y in pixels of a 1640 x 590 picture, shape (..., 2).
        """
        right, depth, up = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (across, ahead, above)))
        x = self.vanishing + FOCAL * (right / depth + self.curvature * depth / 2)
        y = self.horizon + FOCAL * (self.camera_height - up) / depth
        return np.stack([x, y], axis=-1)


@dataclass(frozen=True, slots=True)
class Marking:
    """One painted line along the road.

    Args:
        across: Metres to the right of the road's axis.
        dash: Length of a dash in metres; 0 for a solid line.
        gap: Length of the gap after it, in metres.
        phase: Where the first dash begins, in metres.
        width: Width in metres.
        strength: Opacity of the paint, 0 to 1.
        colour: Blue, green, red.
    """

    across: float
    dash: float
    gap: float
    phase: float
    width: float
    strength: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A box on wheels. The camera sees its back, or its front if it is oncoming."""

    across: float
    ahead: float
    width: float
    height: float
    length: float
    colour: Colour
    oncoming: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """The contents of a picture, and the annotated lanes.

    Args:
        scenario: One of `SCENARIOS`.
        road: The road in front of the camera.
        edges: Left and right edge of the asphalt, in metres across.
        boundaries: The position of each annotated lane boundary, in metres across, by slot (1 to 4, left-left to
            right-right).
        horizon_gap: Rows below the horizon where the annotation ends.
        markings: The paint along the road.
        vehicles: From far to near.
        arrows: Across, ahead and turn (-1, 0, 1) of arrows painted on lanes.
        zebra: Metres ahead of a pedestrian crossing.
        shadows: Polygons on the ground, each (N, 2) in metres across and ahead.
        wear: Share of the paint that is worn off, 0 to 1.
        detail: Seed of the decoration, which does not change the lanes.
    """

    scenario: str
    road: Road
    edges: tuple[float, float]
    boundaries: dict[int, float]
    horizon_gap: float
    markings: tuple[Marking, ...]
    vehicles: tuple[Vehicle, ...]
    arrows: tuple[tuple[float, float, int], ...]
    zebra: tuple[float, ...]
    shadows: tuple[NDArray[np.float64], ...] = field(repr=False)
    wear: float
    detail: int

    def lanes(self) -> dict[int, NDArray[np.float64]]:
        """Annotates the scene as in CULane: from the bottom up, one point every 10 rows, also for hidden parts.

        Returns:
            The points of each slot, (N, 2), x and y in pixels of a 1640 x 590 picture.
        """
        height, width = REFERENCE_SIZE
        rows = np.arange(height, self.road.horizon + self.horizon_gap, -10.0)
        ahead = FOCAL * self.road.camera_height / (rows - self.road.horizon)
        lanes = {}
        for slot, across in self.boundaries.items():
            points = np.stack([self.road.project(across, ahead)[:, 0], rows], axis=1)
            inside = (points[:, 0] > -20) & (points[:, 0] < width + 20)
            if inside.sum() >= 2:
                first, last = np.flatnonzero(inside)[[0, -1]]
                lanes[slot] = points[first : last + 1]
        return lanes


def sample_scene(scenario: str, rng: np.random.Generator) -> Scene:
    """Samples a random scene.

    Args:
        scenario: One of `SCENARIOS`.
        rng: Source of all randomness.

    Returns:
        The scene. Equal states of `rng` give equal scenes.

    Example:
        >>> scene = sample_scene("normal", np.random.default_rng(0))
        >>> 2 <= len(scene.lanes()) <= 4
        True
    """
    lane_width = rng.uniform(3.2, 3.9)
    curve = rng.uniform(0.0025, 0.008) if scenario == "curve" else abs(rng.normal(0, 0.0006))
    road = Road(
        horizon=rng.uniform(235, 300),
        vanishing=rng.normal(820, 70),
        camera_height=rng.uniform(1.15, 1.55),
        curvature=curve * rng.choice([-1, 1]),
    )
    drift = rng.normal(0, 0.25)
    left, right = _lane_counts(rng)
    borders = np.asarray(drift + lane_width * (np.arange(-left, right + 2) - 0.5), dtype=np.float64)
    shoulder = rng.uniform(0.3, 2.5, size=2)
    cross = scenario == "cross"
    edges = (-40.0, 40.0) if cross else (float(borders[0] - shoulder[0]), float(borders[-1] + shoulder[1]))
    slots = (
        {}
        if cross
        else {s: float(borders[left + i]) for s, i in ((1, -1), (2, 0), (3, 1), (4, 2)) if 0 <= left + i < len(borders)}
    )
    wear = {"noline": 1.0, "curve": rng.uniform(0, 0.5)}.get(scenario, rng.choice([0.0, rng.uniform(0.2, 0.75)]))
    return Scene(
        scenario=scenario,
        road=road,
        edges=edges,
        boundaries=slots,
        horizon_gap=rng.uniform(14, 34),
        markings=() if cross else _markings(borders, scenario, rng),
        vehicles=_vehicles(borders, scenario, rng),
        arrows=_arrows(borders, rng) if scenario == "arrow" or (cross and rng.random() < 0.4) else (),
        zebra=tuple(rng.uniform([6, 18], [13, 40])) if cross else (),
        shadows=_shadows(rng, *((5, 14) if scenario == "shadow" else (0, 3))),
        wear=float(wear),
        detail=int(rng.integers(2**31)),
    )


def _lane_counts(rng: np.random.Generator) -> tuple[int, int]:
    """The numbers of lanes to the left and to the right of the camera's lane."""
    pairs = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (1, 2))
    return pairs[rng.choice(len(pairs), p=[0.1, 0.2, 0.2, 0.3, 0.1, 0.1])]


def _markings(borders: NDArray[np.float64], scenario: str, rng: np.random.Generator) -> tuple[Marking, ...]:
    markings = []
    dash, gap = ((6.0, 9.0), (4.0, 6.0), (2.0, 4.0))[rng.integers(3)]
    for i, across in enumerate(borders):
        outer = i in (0, len(borders) - 1)
        solid = rng.random() < (0.75 if outer else 0.25)
        strength = rng.uniform(0.0, 0.16) if scenario == "noline" else rng.uniform(0.45, 0.95)
        phase, width = rng.uniform(0, dash + gap), rng.uniform(0.1, 0.18)
        colour = YELLOW if rng.random() < (0.5 if i == 0 else 0.1) else WHITE
        double = outer and solid and rng.random() < 0.3
        markings += [
            Marking(float(across) + shift, 0.0 if solid else dash, gap, phase, width, strength, colour)
            for shift in ((-0.14, 0.14) if double else (0.0,))
        ]
    return tuple(markings)


def _vehicles(borders: NDArray[np.float64], scenario: str, rng: np.random.Generator) -> tuple[Vehicle, ...]:
    lowest, highest = {"crowd": (6, 13), "noline": (1, 5), "curve": (0, 2)}.get(scenario, (0, 4))
    centres = (borders[:-1] + borders[1:]) / 2
    vehicles: list[Vehicle] = []
    for _ in range(rng.integers(lowest, highest)):
        # The extra lane on each side is for oncoming traffic or parking.
        lane = int(rng.integers(-1, len(centres) + 1))
        across = centres[0] + lane * (borders[1] - borders[0])
        ahead = rng.uniform(9 if abs(across) < 2 else 6, 60)
        if any(abs(v.across - across) < 2 and abs(v.ahead - ahead) < 6 for v in vehicles):
            continue
        truck = rng.random() < 0.2
        vehicles.append(
            Vehicle(
                across=float(across + rng.normal(0, 0.2)),
                ahead=float(ahead),
                width=rng.uniform(2.2, 2.5) if truck else rng.uniform(1.65, 1.95),
                height=rng.uniform(2.4, 3.4) if truck else rng.uniform(1.4, 1.8),
                length=rng.uniform(6, 10) if truck else rng.uniform(3.8, 4.8),
                colour=_vehicle_colour(rng),
                oncoming=lane < 0 and rng.random() < 0.7,
            )
        )
    return tuple(sorted(vehicles, key=lambda v: -v.ahead))


def _vehicle_colour(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(20, 220)
    blue, green, red = np.clip(grey + rng.normal(0, 45 if rng.random() < 0.35 else 5, size=3), 5, 245)
    return float(blue), float(green), float(red)


def _arrows(borders: NDArray[np.float64], rng: np.random.Generator) -> tuple[tuple[float, float, int], ...]:
    centres = (borders[:-1] + borders[1:]) / 2
    first = rng.uniform(6, 14)
    return tuple(
        (float(across), float(first + k * rng.uniform(16, 26)), int(rng.integers(-1, 2)))
        for across in centres
        for k in range(2)
    )


def _shadows(rng: np.random.Generator, least: int, most: int) -> tuple[NDArray[np.float64], ...]:
    """Shadows of trees, poles and buildings, cast from the roadside over the road."""
    shadows = []
    slant = rng.uniform(-0.8, 0.8)
    for _ in range(rng.integers(least, most)):
        ahead = rng.uniform(4, 45)
        start, stop = sorted(rng.uniform(-12, 12, size=2))
        thickness = rng.choice([rng.uniform(0.15, 0.5), rng.uniform(1, 6)])
        across = np.linspace(start, stop, 8)
        middle = ahead + slant * (across - start)
        ragged = rng.uniform(0.5, 1.0, size=(2, 8)) * thickness / 2
        outline = np.concatenate(
            [np.stack([across, middle + ragged[0]], 1), np.stack([across, middle - ragged[1]], 1)[::-1]]
        )
        shadows.append(np.maximum(outline, [-40, NEAR]))
    return tuple(shadows)
