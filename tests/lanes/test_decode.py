import pickle

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import (
    CULANE_SIZE,
    TUSIMPLE_ROWS,
    TUSIMPLE_SIZE,
    CULaneDecoder,
    Frame,
    Lane,
    TuSimpleDecoder,
    culane_slots,
    rasterise,
    read_lines,
    read_tusimple,
    tusimple_slots,
)
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy

CULANE_FRAME, TUSIMPLE_FRAME = Frame(*CULANE_SIZE), Frame(*TUSIMPLE_SIZE)


def random_maps(batch=3, classes=5, height=36, width=100, seed=0):
    return torch.rand(batch, classes, height, width, generator=torch.Generator().manual_seed(seed))


def matlab_round(value):
    return int(np.floor(value + 0.5))


def official_culane(probability, existence):
    """The official tools' loops for one uncropped image, in their numbering from 1, without 8-bit rounding."""
    classes, height, width = probability.shape
    lanes = []
    for lane in range(1, classes):
        if existence[lane - 1] <= 0.5:
            continue
        score = cv2.blur(probability[lane], (9, 9))
        points = []
        for m in range(1, 19):
            row = score[matlab_round(height - (m - 1) * 20 / 590 * height) - 1]
            if row.max() > 0.3:
                column = int(row.argmax()) + 1
                points.append((matlab_round(column * 1640 / width) - 1, 590 - (m - 1) * 20 - 1))
        if len(points) > 1:
            lanes.append(Lane(points, CULANE_SIZE))
    return lanes


@pytest.mark.parametrize("size", [(288, 800), (208, 976), (36, 100)])
def test_culane_follows_the_official_tools(size):
    maps = torch.nn.functional.interpolate(random_maps(height=9, width=25), size=size, mode="bilinear") ** 2
    existence = torch.tensor([[0.9, 0.5, 0.6, 0.1], [0.51, 0.9, 0.9, 0.9], [0, 0, 0, 0]])
    expected = [official_culane(*pair) for pair in zip(maps.numpy(), existence.numpy(), strict=True)]
    assert CULaneDecoder()(maps, existence, [CULANE_FRAME] * 3) == expected
    assert [len(lanes) for lanes in expected] == [2, 4, 0]


def test_without_existence_every_lane_may_exist():
    maps = random_maps() + 0.3
    everything = CULaneDecoder()(maps, None, [CULANE_FRAME] * 3)
    assert everything == CULaneDecoder()(maps, torch.ones(3, 4), [CULANE_FRAME] * 3)
    assert [len(lanes) for lanes in everything] == [4, 4, 4]


@pytest.mark.parametrize("decoder", [CULaneDecoder(), TuSimpleDecoder()])
def test_a_batch_is_its_images_one_by_one(decoder):
    maps, existence = random_maps() + 0.2, torch.rand(3, 4)
    frames = [Frame(590, 1640, 240), Frame(720, 1280), Frame(360, 640, 20)]
    alone = [decoder(maps[i : i + 1], existence[i : i + 1], frames[i : i + 1])[0] for i in range(3)]
    assert decoder(maps, existence, frames) == alone


@pytest.mark.parametrize("decoder", [CULaneDecoder(), TuSimpleDecoder()])
def test_lanes_lie_in_the_original_image_below_the_crop(decoder):
    frame = Frame(590, 1640, crop_top=240)
    for lane in decoder(random_maps(batch=1) + 0.3, None, [frame])[0]:
        assert lane.image_size == (590, 1640)
        assert (lane.points >= [0, 240]).all()
        assert (lane.points < [1640, 590]).all()


def test_points_need_a_probability_above_the_threshold_and_lanes_two_points():
    maps = torch.zeros(1, 3, 59, 164)
    maps[0, 1, :, 80] = 0.5  # exactly the threshold
    maps[0, 2, -1, 80] = 0.9  # one row
    assert CULaneDecoder(threshold=0.5, blur=1)(maps, None, [CULANE_FRAME]) == [[]]
    [lane] = CULaneDecoder(threshold=0.49, blur=1)(maps, None, [CULANE_FRAME])[0]
    assert len(lane) == 18


def test_the_grid_of_rows_is_an_argument_and_scales_with_the_image():
    maps = torch.ones(1, 2, 59, 164)
    for frame, rows in ((CULANE_FRAME, [589, 549, 509]), (Frame(295, 820), [294, 274, 254])):
        [lane] = CULaneDecoder(rows=3, spacing=40)(maps, None, [frame])[0]
        assert lane.points[:, 1].tolist() == rows
    [lane] = TuSimpleDecoder(h_samples=[240, 500, 710])(maps, None, [TUSIMPLE_FRAME])[0]
    assert lane.points[:, 1].tolist() == [240, 500, 710]


def test_tusimple_keeps_the_five_surest_lanes_in_order():
    maps = torch.zeros(1, 7, 72, 128)
    for lane, probability in enumerate([0.9, 0.5, 0.8, 0.7, 0.6, 1.0], start=1):
        maps[0, lane, :, 18 * lane] = probability
    columns = [lane.points[0, 0] for lane in TuSimpleDecoder(blur=1)(maps, None, [TUSIMPLE_FRAME])[0]]
    assert columns == [185, 545, 725, 905, 1085]


def test_half_precision_maps_are_accepted():
    maps = (random_maps() + 0.3).to(torch.bfloat16)
    for existence in (None, torch.ones(maps.shape[:2])[:, 1:]):
        half = None if existence is None else existence.to(torch.bfloat16)
        found = CULaneDecoder()(maps, half, [CULANE_FRAME] * 3)
        assert found == CULaneDecoder()(maps.float(), existence, [CULANE_FRAME] * 3)


@pytest.mark.parametrize("blur", [0, 8, -3])
def test_a_blur_without_a_middle_is_refused(blur):
    for decoder in (CULaneDecoder, TuSimpleDecoder):
        with pytest.raises(LgadError, match=f"blur={blur}: give an odd number"):
            decoder(blur=blur)


def test_a_blur_that_is_larger_than_the_maps_is_refused():
    with pytest.raises(LgadError, match="blur=9 is too large for maps of 4x100"):
        CULaneDecoder(blur=9)(random_maps(height=4), None, [CULANE_FRAME] * 3)


@pytest.mark.parametrize("decoder", [CULaneDecoder(threshold=0.4), TuSimpleDecoder(threshold=0.6, h_samples=[700])])
def test_decoders_are_picklable(decoder):
    assert vars(pickle.loads(pickle.dumps(decoder))) == vars(decoder)


def one_hot(slots, frame, size, width):
    """A network's perfect output for an image: probability maps of its lanes, and their existence."""
    cropped = [lane and lane.cropped(frame.crop_top) for lane in slots]
    label = torch.from_numpy(rasterise(cropped, size, width)).long()
    maps = torch.nn.functional.one_hot(label, len(slots) + 1).permute(2, 0, 1).float()
    return maps, torch.tensor([float(lane is not None) for lane in slots])


@st.composite
def culane_frames(draw):
    """Lanes such as CULane's: from the lower or a side border up to near the horizon."""
    horizon = draw(st.integers(250, 300))
    lanes = []
    for bottom in (-100, 500, 1150, 1750):
        bottom, bend = bottom + draw(st.integers(-150, 150)), draw(st.integers(-80, 80))
        y = np.arange(590, draw(st.integers(horizon + 30, 380)), -10)
        share = (590 - y) / (590 - horizon)
        x = bottom + (820 - bottom) * share + bend * share * (1 - share)
        lanes.append(Lane(np.stack([x, y], axis=1)[(x > -50) & (x < 1690)], CULANE_SIZE))
    return [lane for lane, keep in zip(lanes, draw(st.tuples(*[st.booleans()] * 4)), strict=True) if keep]


def round_trip_culane(frames_of_lanes, size, crop_top):
    frame = Frame(*CULANE_SIZE, crop_top)
    slots = [culane_slots(lanes) for lanes in frames_of_lanes]
    target = [[lane for lane in image if lane is not None] for image in slots]
    pairs = [one_hot(image, frame, size, width=round(16 / 1640 * size[1])) for image in slots]
    maps, existence = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    preds = CULaneDecoder()(maps, existence, [frame] * len(slots))
    metric = CULaneF1()
    metric.update(preds, target, images=[str(number) for number in range(len(slots))])
    return metric.results()["total"]


@given(st.lists(culane_frames(), min_size=2, max_size=2))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize(("size", "crop_top"), [((288, 800), 0), ((208, 976), 240)])
def test_rasterised_and_decoded_culane_lanes_are_all_found(size, crop_top, frames):
    total = round_trip_culane(frames, size, crop_top)
    assert (total["fp"], total["fn"]) == (0, 0)


@pytest.mark.parametrize(("size", "crop_top"), [((288, 800), 0), ((208, 976), 240)])
def test_rasterised_and_decoded_real_culane_lanes_are_all_found(shared_dir, size, crop_top):
    paths = sorted((shared_dir / "real" / "culane").rglob("*.lines.txt"))[::6]
    total = round_trip_culane([read_lines(path) for path in paths], size, crop_top)
    assert total["f1"] == 1
    assert total["tp"] > 80


@pytest.mark.parametrize("size", [(368, 640), (360, 640)])
def test_rasterised_and_decoded_tusimple_lanes_are_all_right(golden_dir, size):
    frames = [
        f for f in read_tusimple(golden_dir / "tusimple" / "public" / "label.json") if f.h_samples == TUSIMPLE_ROWS
    ]
    slots = [tusimple_slots(frame.lanes) for frame in frames[:20]]
    target = [[lane for lane in image if lane is not None] for image in slots]
    pairs = [one_hot(image, TUSIMPLE_FRAME, size, width=8) for image in slots]
    maps, existence = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    preds = TuSimpleDecoder()(maps, existence, [TUSIMPLE_FRAME] * len(slots))
    metric = TuSimpleAccuracy()
    metric.update(preds, target, images=[frame.raw_file for frame in frames[:20]])
    total = metric.results()["total"]
    assert (total["fp"], total["fn"]) == (0, 0)
    assert total["accuracy"] > 0.97


@pytest.mark.parametrize(
    "settings", [{"threshold": "a"}, {"existence_threshold": None}, {"blur": 1.5}, {"rows": 1}, {"spacing": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(LgadError, match=next(iter(settings))):
        CULaneDecoder(**settings)


def test_numbers_of_numpy_are_settings():
    assert CULaneDecoder(np.float32(0.3), np.float64(0.5), np.int64(18), np.int64(20), np.int64(9)).blur == 9
