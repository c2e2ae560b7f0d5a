import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lgad_lightning import ERFNet, LanePredictor, LaneStudent, LgadError
from lgad_lightning.inference import FoundLane
from lgad_lightning.inference.found import seen
from lgad_lightning.inference.images import as_bgr
from lgad_lightning.lanes import CULaneDecoder, Frame, MaskDecoder
from tests.helpers.students import IMAGE_SIZE, NAMES, TinyNet, make_student, road, save_checkpoint, write_video


@pytest.fixture(scope="module")
def predictor() -> LanePredictor:
    return LanePredictor(make_student(), batch_size=2)


def test_lanes_are_those_that_the_student_decodes(predictor: LanePredictor) -> None:
    student, image = make_student(), road()
    pixels, frame = student.preprocessing.cut(image)
    with torch.no_grad():
        output = student(student.preprocessing.normalise(torch.from_numpy(pixels)[None]))
    expected = student.decode(output, [frame])[0]
    lanes = predictor.predict(image)
    assert len(expected) >= 2
    assert lanes == expected
    assert [NAMES[lane.slot] for lane in lanes] == [lane.name for lane in lanes]
    for lane in lanes:
        assert lane.existence == pytest.approx(output.existence[0, lane.slot - 1].sigmoid().item(), abs=1e-6)
        assert 0.19 < lane.score <= 1
        assert lane.confidence == lane.score * lane.existence


def test_a_student_in_training_stays_as_it_is() -> None:
    student = make_student().train()
    LanePredictor(student, device="meta")
    assert student.training
    assert student.network.training
    assert all(parameter.device.type == "cpu" for parameter in student.parameters())


def test_images_of_any_kind_are_the_same_image(predictor: LanePredictor, tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = road()
    cv2.imwrite(str(tmp_path / "a.png"), image)
    expected = predictor.predict(image)
    rgb = LanePredictor(predictor.engine.student, channels="rgb")
    for lanes in (
        predictor.predict(tmp_path / "a.png"),
        predictor.predict(str(tmp_path / "a.png")),
        predictor.predict(pil.open(tmp_path / "a.png")),
        rgb.predict(image[..., ::-1]),
        rgb.predict(tmp_path / "a.png"),
        predictor.predict([image, image, image])[2],
    ):
        assert [lane.points.tolist() for lane in lanes] == [lane.points.tolist() for lane in expected]
    assert predictor.predict([]) == []
    np.testing.assert_array_equal(rgb.draw(image[..., ::-1], expected), predictor.draw(image, expected)[..., ::-1])


def test_images_that_are_stored_turned_are_turned(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = pil.fromarray(road(size=(40, 100)))
    exif = image.getexif()
    exif[0x0112] = 6  # the orientation: turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    of_file = as_bgr(tmp_path / "a.png")
    assert of_file.shape == (100, 40, 3)
    np.testing.assert_array_equal(as_bgr(pil.open(tmp_path / "a.png")), of_file)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), "u1")]
)
def test_arrays_that_are_no_images_are_told(image: Any) -> None:
    with pytest.raises(LgadError, match=r"\(height, width, 3\) of uint8"):
        as_bgr(image)


def test_a_file_that_is_no_image_is_told(predictor: LanePredictor, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(LgadError, match=r"a\.jpg is no image"):
        predictor.predict([tmp_path / "a.jpg"])


def test_the_crop_is_the_same_share_of_images_of_another_size(predictor: LanePredictor) -> None:
    large = cv2.resize(road(), (2 * IMAGE_SIZE[1], 2 * IMAGE_SIZE[0]), interpolation=cv2.INTER_LINEAR)
    pixels, frame = predictor.engine.prepare(large, "large")
    assert frame == (2 * IMAGE_SIZE[0], 2 * IMAGE_SIZE[1], 96)
    small, _ = predictor.engine.prepare(road(), "usual")
    assert np.abs(pixels.astype(int) - small).mean() < 8
    lanes = predictor.predict(large)
    assert {lane.image_size for lane in lanes} == {(2 * IMAGE_SIZE[0], 2 * IMAGE_SIZE[1])}


def test_draws_over_a_copy(predictor: LanePredictor) -> None:
    image = road()
    before = image.copy()
    picture = predictor.draw(image, predictor.predict(image))
    np.testing.assert_array_equal(image, before)
    assert picture.shape == image.shape
    assert (picture != image).any()
    np.testing.assert_array_equal(predictor.draw(image, []), image)


def test_a_video_is_streamed_in_order(predictor: LanePredictor, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 5)
    frames = list(predictor.stream(path))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert all(frame.lanes == predictor.predict(frame.image) for frame in frames)
    tracked = [lane.track for frame in predictor.stream(path, track=True) for lane in frame.lanes]
    assert len(tracked) >= 5
    assert None not in tracked


def test_a_stream_that_is_left_early_ends_its_thread(predictor: LanePredictor, tmp_path: Path) -> None:
    import threading

    before = threading.active_count()
    stream = predictor.stream(write_video(tmp_path / "clip.avi", 30))
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_models_come_in_many_forms(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="needs the extra `hub`")
    student = make_student()
    checkpoint = save_checkpoint(student, tmp_path / "run/student/checkpoints/best.ckpt")
    saved = student.save_pretrained(tmp_path / "saved")
    expected = LanePredictor(student).predict(road())
    for model in (checkpoint, str(checkpoint), tmp_path / "run", saved):
        predictor = LanePredictor(model)
        assert predictor.predict(road()) == expected
        assert predictor.engine.info.image_size == IMAGE_SIZE
        assert len(predictor.engine.info.identity) == 16


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("text")
    (tmp_path / "folder").mkdir()
    for model, message in (
        ("nope.ckpt", "no checkpoint"),
        (tmp_path / "text.ckpt", "is not a checkpoint"),
        (tmp_path / "folder", "holds no trained student"),
    ):
        with pytest.raises(LgadError, match=message):
            LanePredictor(model)
    with pytest.raises(LgadError, match="device 'nope'"):
        LanePredictor(make_student(), device="nope")
    student = make_student()
    student.decoder = lambda *arguments: []
    with pytest.raises(LgadError, match="GridDecoder"):
        LanePredictor(student)


def test_found_lanes_go_through_records_and_pickle(predictor: LanePredictor) -> None:
    for lane in predictor.predict(road()):
        for copy in (pickle.loads(pickle.dumps(lane)), FoundLane.of_record(lane.as_record(), lane.image_size)):
            assert copy == lane
            assert (copy.slot, copy.name, copy.track) == (lane.slot, lane.name, None)
            assert copy.score == pytest.approx(lane.score, abs=1e-4)


def test_images_of_the_training_are_remembered(tmp_path: Path) -> None:
    """Only the command warns; what it warns by comes from the model, or its protocol."""
    student = make_student()
    info = LanePredictor(student).engine.info
    assert info.size_warning(IMAGE_SIZE) is info.size_warning((296, 820)) is None
    assert "another aspect" in str(info.size_warning((720, 1280)))
    student.image_size = None
    assert LanePredictor(student).engine.info.usual_size == (590, 1640)


def test_rows_that_do_not_grow_with_the_image_are_told() -> None:
    """The rows of TuSimple are those of its images: at twice the size they leave out the road before the car."""
    student = make_student(protocol="tusimple")
    student.image_size = (720, 1280)
    info = LanePredictor(student).engine.info
    assert info.size_warning((720, 1280)) is None
    assert "rows 160 to 710. Resize the images to 1280x720" in str(info.size_warning((1080, 1920)))


def test_the_score_of_a_lane_is_read_on_the_lane() -> None:
    """Where the network sees more pixels than the image has, half a pixel of the image is a pixel beside the lane."""
    probabilities = torch.zeros(1, 2, 352, 640)
    probabilities[0, 1, :, 161] = 1
    probabilities[0, 0] = 1 - probabilities[0, 1]
    frames = [Frame(176, 320)]
    lanes = seen(MaskDecoder(), probabilities, None, frames, ("background", "lane")).lanes[0]
    assert [lane.score for lane in lanes] == [1.0]


def test_lane_or_not() -> None:
    student, image = make_student(TinyNet, seed=2, protocol="pixels"), road()
    pixels, frame = student.preprocessing.cut(image)
    with torch.no_grad():
        output = student(student.preprocessing.normalise(torch.from_numpy(pixels)[None]))
    lanes = LanePredictor(student).predict(image)
    assert lanes
    assert lanes == student.decode(output, [frame])[0]
    assert {(lane.slot, lane.name, lane.existence) for lane in lanes} == {(1, "lane", None)}
    probability = output.logits.softmax(1)[0, 1]
    height, width = probability.shape
    for lane in lanes:
        columns = (lane.points[:, 0] + 0.5) * width / IMAGE_SIZE[1] - 0.5
        rows = (lane.points[:, 1] - 48 + 0.5) * height / (IMAGE_SIZE[0] - 48) - 0.5
        near = [probability[round(y), round(x)].item() for x, y in zip(columns, rows, strict=True)]
        assert lane.score == pytest.approx(np.mean(near), abs=1e-6)


def test_a_student_that_does_not_know_how_to_be_used_is_refused() -> None:
    network = ERFNet(input_size=(32, 96), channels=(8, 16, 24))
    with pytest.raises(LgadError, match="function, which gives no slots"):
        LanePredictor(LaneStudent(network, lambda probabilities, existence, frames: [[]]))
    with pytest.raises(LgadError, match="no preprocessing"):
        LanePredictor(LaneStudent(network, CULaneDecoder()))


@pytest.mark.parametrize("settings", [{"channels": "RGB"}, {"batch_size": 0}, {"batch_size": 2.0}])
def test_settings_that_would_be_misunderstood_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(LgadError, match=next(iter(settings))):
        LanePredictor(make_student(), **settings)


def test_images_of_pil_that_it_would_cut_off_are_refused(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "grey.png"), ramp)
    assert as_bgr(tmp_path / "grey.png").mean() == pytest.approx(127.5, abs=1)
    with pytest.raises(LgadError, match="give its path"):
        as_bgr(pil.open(tmp_path / "grey.png"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_student_that_was_trained_in_another_precision_is_used_in_float32(dtype: torch.dtype) -> None:
    student = make_student().to(dtype)
    assert LanePredictor(student).predict(road())
    assert student.dtype == dtype


@pytest.mark.parametrize(
    "damage",
    [{"image_size": (0, 0)}, {"image_size": ("a", "b")}, {"class_names": ("background",)}, {"class_names": NAMES[:3]}],
)
def test_a_student_with_a_damaged_description_is_refused(damage: dict[str, Any]) -> None:
    student = make_student()
    for name, value in damage.items():
        setattr(student, name, value)
    with pytest.raises(LgadError, match=r"damaged|has 5 classes"):
        LanePredictor(student)
