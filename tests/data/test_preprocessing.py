from dataclasses import asdict, replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lgad_lightning.data import Preprocessing, SyntheticLaneDataModule
from lgad_lightning.errors import LgadError

RECIPE = Preprocessing((208, 976), 240, [103.9, 116.8, 123.7], [1, 1, 1], "bgr", 255.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("input_size", (0, 800)), ("input_size", (288,)), ("input_size", 288), ("input_size", (28.5, 800)),
        ("crop_top", -1), ("crop_top", None), ("mean", (0.5, 0.5)), ("mean", (float("nan"), 0, 0)), ("std", (0, 1, 1)),
        ("std", ("a", 1, 1)), ("channels", "gbr"), ("pixel_range", 0), ("pixel_range", None), ("reduced_decode", 3),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(LgadError, match=setting):
        Preprocessing(**{setting: value})


def test_lists_and_tuples_are_one_value() -> None:
    listed = Preprocessing(**{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(RECIPE).items()})
    assert listed == RECIPE
    assert hash(listed) == hash(RECIPE)


@pytest.mark.parametrize(
    "other",
    [{"crop_top": 0}, {"input_size": (208, 800)}, {"mean": (0, 0, 0)}, {"channels": "rgb"}, {"reduced_decode": True}],
)
def test_each_setting_makes_another_preprocessing(other: dict[str, Any]) -> None:
    changed = replace(RECIPE, **other)
    assert changed != RECIPE
    assert (changed.geometry == RECIPE.geometry) == (not {"crop_top", "input_size"} & other.keys())


def test_a_network_sees_what_the_recipe_says() -> None:
    image = np.random.default_rng(0).integers(0, 256, (590, 1640, 3), dtype=np.uint8)
    pixels, frame = RECIPE.cut(image)
    assert frame == (590, 1640, 240)
    expected = cv2.resize(image[240:], (976, 208)).astype(np.float32) - np.float32([103.9, 116.8, 123.7])
    seen = RECIPE.normalise(torch.from_numpy(pixels)[None])[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen, expected, atol=1e-4)
    rgb = replace(RECIPE, channels="rgb", mean=(123.7, 116.8, 103.9))
    np.testing.assert_allclose(
        rgb.normalise(torch.from_numpy(pixels)[None])[0], seen.transpose(2, 0, 1)[::-1], atol=1e-4
    )


@pytest.mark.parametrize("height", [590, 591])
@pytest.mark.parametrize("crop", [0, 1, 240, 241])
def test_an_image_decoded_at_half_size_is_cropped_at_half(height: int, crop: int) -> None:
    preprocessing = Preprocessing((40, 100), crop)
    half = np.random.default_rng(0).integers(0, 256, ((height + 1) // 2, 820, 3), dtype=np.uint8)
    pixels, frame = preprocessing.cut(half, (height, 1640))
    assert frame == (height, 1640, crop)
    np.testing.assert_array_equal(pixels, cv2.resize(half[crop // 2 :], (100, 40)))


def test_a_crop_that_leaves_nothing_names_the_image() -> None:
    with pytest.raises(LgadError, match=r"crop_top=240 leaves nothing of a\.jpg, which has 240 rows"):
        RECIPE.cut(np.zeros((240, 640, 3), np.uint8), name="a.jpg")


def test_a_data_module_has_one() -> None:
    assert SyntheticLaneDataModule(input_size=[64, 160], crop_top=200).preprocessing == Preprocessing((64, 160), 200)


def test_numbers_of_numpy_become_plain_ones() -> None:
    values = Preprocessing(mean=np.array([0.4, 0.5, 0.6]), std=np.full(3, 0.25, np.float32), pixel_range=np.int64(255))
    numbers = (*values.mean, *values.std, values.pixel_range)
    assert {type(number) for number in numbers} == {float}
    assert numbers == (0.4, 0.5, 0.6, 0.25, 0.25, 0.25, 255.0)
