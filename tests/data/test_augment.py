import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.data.augment import LaneAugmentation, SeededTransform
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX

SIZE = (60, 160)


def frame() -> tuple[np.ndarray, np.ndarray]:
    """An image whose first channel is its label map, with lane 1 on the left and lane 4 on the right."""
    label = np.zeros(SIZE, np.uint8)
    label[:, 20:30], label[:, 60:70], label[:, 90:100], label[:, 130:140] = 1, 2, 3, 4
    return np.stack([label * 50] * 3, axis=-1), label


def build(**options: float) -> SeededTransform:
    return LaneAugmentation(**({"flip": 0, "rotate": 0, "zoom": 1} | options)).build(SIZE, num_slots=4)


def test_flip_exchanges_left_and_right_classes() -> None:
    image, label = build(flip=1)(*frame(), 0)
    assert [label[0, x] for x in (25, 65, 95, 135)] == [1, 2, 3, 4]
    assert [image[0, x, 0] // 50 for x in (25, 65, 95, 135)] == [4, 3, 2, 1]


def test_flip_keeps_ignored_pixels() -> None:
    image, label = frame()
    label[:, 0] = IGNORE_INDEX
    assert (build(flip=1)(image, label, 0)[1][:, -1] == IGNORE_INDEX).all()


def test_rotation_ignores_what_comes_from_outside() -> None:
    transform = build(rotate=20)
    for seed in range(5):
        image, label = transform(np.full((*SIZE, 3), 200, np.uint8), np.ones(SIZE, np.uint8), seed)
        assert set(np.unique(label)) == {1, IGNORE_INDEX}
        assert image[label == IGNORE_INDEX].mean() < 30 < 190 < image[label == 1].mean()


@given(st.integers(0, 2**32))
def test_image_and_label_move_together(seed: int) -> None:
    image, label = LaneAugmentation(flip=0, rotate=5, zoom=1.3).build(SIZE, 4)(*frame(), seed)
    assert image.shape == (*SIZE, 3)
    assert label.shape == SIZE
    kept = label != IGNORE_INDEX
    assert np.mean(np.abs(image[kept, 0] / 50 - label[kept]) > 0.6) < 0.12  # only at the lanes' interpolated borders


def test_seed_alone_decides() -> None:
    transform, other = (LaneAugmentation(rotate=10).build(SIZE, 4) for _ in range(2))
    images = [transform(*frame(), (7, epoch, 3))[0] for epoch in range(4)]
    for _ in range(3):
        other(*frame(), 99)  # what was drawn before does not matter
    assert np.array_equal(other(*frame(), (7, 2, 3))[0], images[2])
    assert len({image.tobytes() for image in images}) == 4


def test_transforms_draw_independently() -> None:
    """One seed for a whole composition would flip exactly those that are turned one way."""
    transform = LaneAugmentation(flip=0.5, rotate=20, zoom=1).build(SIZE, 4)
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, : SIZE[1] // 2] = 255
    outcomes = set()
    for seed in range(40):
        turned, _ = transform(image, np.zeros(SIZE, np.uint8), seed)
        flipped = turned[30, 10, 0] < turned[30, 150, 0]
        outcomes.add((bool(flipped), bool(turned[5, 80, 0] > turned[55, 80, 0])))
    assert len(outcomes) == 4


@pytest.mark.parametrize("options", [{}, {"flip": 0, "rotate": 0, "zoom": 1}])
def test_label_keeps_its_type(options: dict[str, float]) -> None:
    image, label = LaneAugmentation(**options).build(SIZE, 4)(*frame(), 0)
    assert image.dtype == label.dtype == np.uint8


@pytest.mark.parametrize("options", [{"flip": 1.5}, {"rotate": -1}, {"zoom": 0.9}])
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(LgadError, match=next(iter(options))):
        LaneAugmentation(**options)


@pytest.mark.parametrize("options", [{"zoom": 1.05}, {"zoom": 1.3}, {"rotate": 3}, {"flip": 1, "zoom": 1.05}])
def test_labels_stay_in_the_middle_of_what_they_label(options: dict[str, float]) -> None:
    """Half a pixel of a small input is several pixels of the road."""
    transform = LaneAugmentation(**({"flip": 0, "rotate": 0, "zoom": 1} | options)).build((120, 320), num_slots=4)
    rng, moved = np.random.default_rng(0), []
    rows, columns = np.indices((120, 320))
    for seed in range(300):
        label = np.zeros((120, 320), np.uint8)
        for class_ in (1, 2, 3, 4):
            row, column = rng.integers(20, 70), rng.integers(20, 260)
            label[row : row + 25, column : column + 25] = class_
        seen, known = transform(np.stack([(label > 0) * np.uint8(200)] * 3, axis=-1), label, seed)
        weights = (seen[..., 0].astype(float), ((known > 0) & (known != IGNORE_INDEX)).astype(float))
        centres = [((one * rows).sum() / one.sum(), (one * columns).sum() / one.sum()) for one in weights]
        moved.append(np.subtract(*centres))
    assert np.abs(np.mean(moved, axis=0)).max() < 0.2  # the mean of many borders, which are rounded
