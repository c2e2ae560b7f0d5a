from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lgad_lightning.drawing import draw_attention, draw_grid, draw_image, draw_label, write_picture


@pytest.mark.parametrize("scale", [1.0, 255.0, 0.01])
def test_an_image_looks_the_same_however_it_is_normalised(scale: float):
    image = torch.rand(3, 20, 40)
    picture = draw_image(image * scale - 0.3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - draw_image(image)).max() <= 1
    assert picture.min() == 0
    assert picture.max() == 255


def test_images_of_other_channel_counts():
    assert draw_image(torch.rand(1, 20, 40)).shape == draw_image(torch.rand(5, 20, 40)).shape
    assert draw_image(torch.ones(3, 20, 40)).shape[2] == 3


def test_labels_lie_in_colours_over_a_grey_image():
    label = torch.zeros(20, 40, dtype=torch.long)
    label[:5], label[5:10], label[10:15] = 1, 2, 255
    picture = draw_label(torch.rand(3, 20, 40), label)
    rows = [picture[round(len(picture) * row / 20), 5] for row in (2, 7, 12, 17)]
    assert len({tuple(row) for row in rows}) == 4
    assert np.ptp(rows[0].astype(int)) > 50
    assert np.ptp(rows[1].astype(int)) > 50
    assert np.ptp(rows[2].astype(int)) == np.ptp(rows[3].astype(int)) == 0


def test_labels_and_maps_of_another_size_fit_the_image():
    image = torch.rand(3, 375, 1242)
    picture = draw_image(image)
    label = draw_label(image, torch.zeros(47, 156, dtype=torch.long))
    attention = draw_attention(torch.rand(47, 156), picture.shape[:2])
    assert draw_grid({"image": [picture], "label": [label], "map": [attention]}).shape[1] == 3 * 286


def test_attention_is_brightest_where_it_is_strongest():
    attention = torch.zeros(4, 8)
    attention[1, 2] = 3.0
    picture = draw_attention(attention).astype(int).sum(2)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert (row * 4 // picture.shape[0], column * 8 // picture.shape[1]) == (1, 2)
    assert draw_attention(torch.ones(4, 8)).shape == draw_attention(attention).shape


def test_written_pictures_are_read_back(tmp_path: Path):
    picture = draw_grid({"one": [draw_image(torch.rand(3, 8, 16))] * 2, "two": [draw_attention(torch.rand(4, 8))] * 2})
    path = tmp_path / "pictures" / "a.png"
    write_picture(path, picture)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], picture)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
