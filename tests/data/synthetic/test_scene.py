import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.data.synthetic import SCENARIOS, render, sample_scene
from lgad_lightning.lanes import CULANE_SIZE, Lane, culane_slots

seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("scenario", SCENARIOS)
@given(seed=seeds)
@settings(max_examples=30)
def test_lanes_are_annotated_as_in_culane(scenario: str, seed: int) -> None:
    lanes = sample_scene(scenario, np.random.default_rng(seed)).lanes()
    if scenario == "cross":
        assert not lanes
        return
    assert {2, 3} <= lanes.keys() <= {1, 2, 3, 4}
    for points in lanes.values():
        assert np.all(np.diff(points[:, 1]) == -10)
        assert points[:, 1].max() <= 590
        assert points[:, 0].min() > -20
        assert points[:, 0].max() < 1660


@given(seed=seeds, scenario=st.sampled_from([s for s in SCENARIOS if s != "cross"]))
def test_slots_follow_the_rule_of_the_label_generator(seed: int, scenario: str) -> None:
    lanes = {
        k: Lane(points, CULANE_SIZE)
        for k, points in sample_scene(scenario, np.random.default_rng(seed)).lanes().items()
    }
    assert culane_slots(list(lanes.values())) == [lanes.get(slot) for slot in (1, 2, 3, 4)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pictures_are_reproducible_and_differ(scenario: str) -> None:
    pictures = [render(sample_scene(scenario, np.random.default_rng(seed)), (118, 328)) for seed in (1, 1, 2)]
    assert pictures[0].shape == (118, 328, 3)
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_solid_paint_lies_on_the_annotated_lanes() -> None:
    contrasts = []
    for seed in range(40):
        scene = sample_scene("curve", np.random.default_rng(seed))
        image = render(scene).mean(axis=2)
        for slot, points in scene.lanes().items():
            solid = [m for m in scene.markings if m.dash == 0 and m.across == scene.boundaries[slot]]
            x, y = points[(points[:, 1] > 380) & (points[:, 1] < 430)].T.round().astype(int)
            if solid and len(x) and x.min() > 60 and x.max() < 1580:
                contrasts.append(image[y, x].mean() - (image[y, x - 45].mean() + image[y, x + 45].mean()) / 2)
    assert np.median(contrasts) > 15


def test_nights_are_darker_than_days() -> None:
    night, day = (
        np.mean([render(sample_scene(name, np.random.default_rng(seed)), (59, 164)).mean() for seed in range(8)])
        for name in ("night", "normal")
    )
    assert night < 0.6 * day
