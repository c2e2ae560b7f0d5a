import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lgad_lightning import LanePredictor, LgadError
from lgad_lightning.commands.predict import main
from lgad_lightning.data.prediction_files import claim_folder, empty_folder
from lgad_lightning.inference.engine import TorchEngine
from lgad_lightning.inference.video import Video
from lgad_lightning.lanes import read_lines, read_tusimple
from tests.helpers.commands import finish, start
from tests.helpers.students import IMAGE_SIZE, make_student, save_checkpoint, write_roads, write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(make_student(), tmp_path_factory.mktemp("model") / "best.ckpt")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def predict(*arguments: object) -> None:
    main([*map(str, arguments), "--device", "cpu"])


def fails(*arguments: object) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as caught:
        predict(*arguments)
    assert isinstance(caught.value.code, str)
    assert "\n" not in caught.value.code
    return caught.value.code


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def records(folder: str | Path = "predictions") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "lanes.jsonl").read_text().splitlines()]


def contents(folder: str | Path = "predictions") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_a_folder_of_images(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = write_roads(tmp_path / "frames", 5)
    predict(model, "frames", "--write", "lines", "tusimple", "overlay", "--batch-size", 2, "--smooth")
    predictor = LanePredictor(model)
    assert [record["image"] for record in records()] == names
    tusimple = read_tusimple("predictions/predictions.json", IMAGE_SIZE)
    assert [frame.raw_file for frame in tusimple] == names
    for name, record in zip(names, records(), strict=True):
        lanes = predictor.predict(tmp_path / "frames" / name)
        assert len(lanes) >= 2
        assert read_lines(f"predictions/{name[:-4]}.lines.txt", IMAGE_SIZE) == lanes
        assert (record["height"], record["width"]) == IMAGE_SIZE
        assert [lane["points"] for lane in record["lanes"]] == [lane.points.tolist() for lane in lanes]
        assert [(lane["slot"], lane["name"]) for lane in record["lanes"]] == [(lane.slot, lane.name) for lane in lanes]
        assert len(record["existence"]) == 4
        assert all(0 < lane["confidence"] <= lane["score"] <= 1 and lane["smooth"] for lane in record["lanes"])
        assert cv2.imread(f"predictions/overlays/{name}").shape == (*IMAGE_SIZE, 3)
    assert all(frame.run_time is not None and frame.run_time > 0 for frame in tusimple)
    summary = json.loads(Path("predictions/summary.json").read_text())
    assert (summary["frames"], summary["skipped"]) == (5, {})
    assert summary["frames_per_second_of_phase"].keys() == {"read", "network", "write"}
    assert "5 frames" in capsys.readouterr().out


def test_sources_of_every_kind(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write_roads(tmp_path / "data", 3)
    (tmp_path / "data/list").mkdir()
    (tmp_path / "data/list/test.txt").write_text("".join(f"/{name}\n" for name in names))
    (tmp_path / "data/test_label.json").write_text("".join(json.dumps({"raw_file": name}) + "\n" for name in names))
    (tmp_path / "far.txt").write_text(f"{names[0]}\n")
    as_given = [f"data/{name}" for name in names]
    for number, (arguments, expected) in enumerate(
        [
            (["data/list/test.txt"], names),
            (["data/test_label.json"], names),
            (["far.txt", "--root", "data"], names[:1]),
            (["data/clip/*.jpg"], as_given),
            ([as_given[1], as_given[0], as_given[1]], [as_given[1], as_given[0]]),
            (["data", "data/clip"], as_given),
            ([tmp_path / "data", "data/clip"], [*(f"{tmp_path}/{name}" for name in as_given), *as_given]),
            (["-"], as_given[:2]),
        ]
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{name}\n" for name in as_given[:2])))
        predict(model, *arguments, "--out", f"out{number}")
        assert [record["image"] for record in records(f"out{number}")] == expected
        assert len(list(Path(f"out{number}").rglob("*.lines.txt"))) == len(expected)


def test_two_images_of_one_name_are_refused(model: Path, tmp_path: Path) -> None:
    for folder in ("A", "B"):
        (name,) = write_roads(tmp_path / folder, 1)
        (tmp_path / folder / "test.txt").write_text(f"{name}\n")
    told = fails(model, "A/test.txt", "B/test.txt")
    assert f"A/{name}" in told
    assert f"B/{name} both have the name {name}" in told
    predict(model, "A/test.txt", "A/test.txt")
    assert [record["image"] for record in records()] == [name]


def test_names_on_standard_input_need_not_be_unicode(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = write_roads(tmp_path / "frames", 1)
    try:
        shutil.copy(tmp_path / "frames" / name, os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("this file system takes only names that are Unicode")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.jpg\n"), encoding="utf-8"))
    predict(model, "-")
    assert [os.fsencode(record["image"]) for record in records()] == [b"caf\xe9.jpg"]


def test_a_camera_is_not_continued(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts at its first frame again, whose lanes would be those of the first run."""
    write_video(tmp_path / "clip.avi", 2)
    video = Video("clip.avi")
    video.source = 0
    monkeypatch.setattr("lgad_lightning.inference.sources.open_video", lambda source: video)
    assert "A camera does not show its frames again" in fails(model, "0", "--resume")
    assert not Path("predictions").exists()


def test_a_video_without_a_frame_is_told(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.avi", 2)
    monkeypatch.setattr(Video, "frames", lambda self: iter(()))
    assert "No frame could be read" in fails(model, "clip.avi")
    assert not Path("predictions/lanes.jsonl").exists()


def test_pictures_of_predictions_are_no_frames(model: Path, tmp_path: Path) -> None:
    names = write_roads(tmp_path, 2)
    for out in ("predictions", "others"):  # both are within the source
        predict(model, ".", "--write", "overlay", "--out", out)
        assert [record["image"] for record in records(out)] == names
    predict(model, "**/*.jpg", "--out", "pattern", "--write", "overlay")
    assert sorted(record["image"] for record in records("pattern")) == sorted(names)
    overlays = "predictions/overlays"  # a pattern that names the folder finds them
    predict(model, f"{overlays}/**/*.jpg", "--out", "named")
    assert len(records("named")) == len(names)


def test_a_pattern_finds_folders_as_the_shell_does(model: Path, tmp_path: Path) -> None:
    write_roads(tmp_path / "frames", 2)
    (tmp_path / "frames" / "clip" / "001.jpg").rename(tmp_path / "frames" / "001.jpg")
    predict(model, "frames/*")
    assert sorted(record["image"] for record in records()) == ["frames/001.jpg", "frames/clip/000.jpg"]


def test_a_video_gives_a_video_that_browsers_play(model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", 7)
    predict(model, "clip.avi", "--write", "overlay", "--track", "--batch-size", 3)
    assert [record["image"] for record in records()] == [f"clip/{number:06}.jpg" for number in range(7)]
    assert all(lane["track"] is not None for record in records() for lane in record["lanes"])
    assert [path.name for path in Path("predictions/overlays").iterdir()] == ["clip.mp4"]
    capture = cv2.VideoCapture("predictions/overlays/clip.mp4")
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert fourcc in (b"vp09", b"VP90")
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 7


def test_broken_images_are_told_counted_and_skipped(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = write_roads(tmp_path / "frames", 4)
    (tmp_path / "frames" / names[1]).write_text("text")
    (tmp_path / "frames" / names[2]).write_bytes(b"")
    predict(model, "frames")
    assert [record["image"] for record in records()] == [names[0], names[3]]
    skipped = json.loads(Path("predictions/summary.json").read_text())["skipped"]
    assert list(skipped) == names[1:3]
    assert sum("Skipped" in message for message in caplog.messages) == 2
    assert "is no image" in fails(model, "frames", "--out", "out", "--on-error", "raise")
    assert not Path("out/lanes.jsonl").exists()
    predict(model, "frames", "--resume")  # only the broken ones are left
    summary = json.loads(Path("predictions/summary.json").read_text())
    assert (summary["frames"], summary["frames_before"]) == (0, 2)
    assert list(summary["skipped"]) == names[1:3]
    for name in (names[0], names[3]):
        (tmp_path / "frames" / name).unlink()
    assert "None of 2 frames" in fails(model, "frames", "--out", "none")


def test_a_video_of_a_size_that_the_model_does_not_take_is_told_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as an export takes frames of one size only."""
    prepare = TorchEngine.prepare

    def only_large(self: TorchEngine, image: Any, name: str) -> Any:
        if image.shape[0] < 100:
            raise LgadError(f"{name} is too small.")
        return prepare(self, image, name)

    monkeypatch.setattr(TorchEngine, "prepare", only_large)
    write_video(tmp_path / "clip.avi", 5, (40, 410))
    assert "None of 1 frames" in fails(model, "clip.avi", "--out", "alone")
    write_roads(tmp_path / "frames", 2)
    predict(model, "clip.avi", "frames")
    assert len(records()) == 2
    assert sum("Skipped" in message for message in caplog.messages) == 2


@pytest.mark.parametrize(("kept", "whole"), [(1.0, True), (0.6, False)])
def test_a_broken_video_ends_with_what_could_be_read(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float, whole: bool
) -> None:
    path = write_video(tmp_path / "clip.avi", 20)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    predict(model, "clip.avi", "--write", "overlay")
    number = len(records())
    assert (number == 20) == whole
    assert number > 5
    assert any(f"ends at frame {number} of 20" in message for message in caplog.messages) != whole
    capture = cv2.VideoCapture("predictions/overlays/clip.mp4")
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == number


def test_frames_of_another_aspect_get_one_warning(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_roads(tmp_path / "frames", 3, (240, 320))
    predict(model, "frames")
    assert [message for message in caplog.messages if "another aspect" in message] == [
        "Images of 320x240 pixels have another aspect than those of the training (410x148): the network "
        "sees distorted lanes. Crop them to that aspect for better results."
    ]
    assert len(records()) == 3


def interrupt_after(monkeypatch: pytest.MonkeyPatch, batches: int, number: int = signal.SIGINT) -> list[int]:
    """A signal when the network is to see another batch than so many; returns the sizes of those it sees."""
    seen: list[int] = []
    run = TorchEngine.run

    def interrupted(self: TorchEngine, pixels: Any, frames: Any) -> Any:
        if len(seen) == batches:
            signal.raise_signal(number)
        seen.append(len(pixels))
        return run(self, pixels, frames)

    monkeypatch.setattr(TorchEngine, "run", interrupted)
    return seen


@pytest.mark.parametrize("cut", [0, 20])
def test_an_interrupted_prediction_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    write_roads(tmp_path / "frames", 6)
    write_video(tmp_path / "clip.avi", 5)
    arguments = (model, "frames", "clip.avi", "--write", "lines", "tusimple", "overlay", "--track", "--batch-size", 2)
    predict(*arguments, "--out", "whole")
    signals = signal.getsignal(signal.SIGINT)
    for batches, number, code in ((2, signal.SIGINT, 130), (3, signal.SIGTERM, 143)):
        with monkeypatch.context() as patch:
            interrupt_after(patch, batches, number)
            with pytest.raises(SystemExit, match=rf"^{code}$"):
                predict(*arguments, *(["--resume"] if Path("predictions").exists() else []))
        signal.signal(signal.SIGINT, signals)
        assert "--resume" in capsys.readouterr().err.splitlines()[-1]
        assert not Path("predictions/lanes.jsonl").exists()
        assert not [name for name in contents() if ".part" in name]
        unfinished = Path("predictions/.lanes.jsonl")
        content = unfinished.read_bytes()
        assert content.count(b"\n") >= 2 * batches - 2
        unfinished.write_bytes(content[: len(content) - cut])
    assert "--resume" in fails(*arguments)
    seen = interrupt_after(monkeypatch, 100)
    predict(*arguments, "--resume")
    assert 0 < sum(seen) < 11

    def comparable(folder: str) -> dict[str, Any]:
        found = {name.removeprefix(folder): content for name, content in contents(folder).items()}
        for name in ("/lanes.jsonl", "/predictions.json"):
            lines = [json.loads(line) for line in found[name].splitlines()]
            found[name] = [{key: value for key, value in line.items() if key != "run_time"} for line in lines]
        del found["/summary.json"]
        return found

    assert comparable("predictions") == comparable("whole")


def test_nothing_of_another_model_is_replaced(model: Path, tmp_path: Path) -> None:
    write_roads(tmp_path / "frames", 3)
    other = save_checkpoint(make_student(seed=1), tmp_path / "other.ckpt")
    predict(model, "frames", "--write", "lines", "overlay")
    before = contents()
    assert "already" in fails(model, "frames", "--write", "lines", "overlay")
    assert "another model" in fails(other, "frames")
    assert "another model" in fails(other, "frames", "--resume")
    assert "other settings" in fails(model, "frames", "--resume", "--track")
    assert "other settings" in fails(model, "frames", "--resume", "--write", "lines")
    assert "one of them" in fails(model, "frames", "--resume", "--overwrite")
    write_roads(tmp_path / "other frames", 3)  # of the same names
    assert "other images" in fails(model, "other frames", "--resume", "--write", "lines", "overlay")
    shutil.rmtree(tmp_path / "other frames")
    assert contents() == before
    predict(model, "frames", "--resume", "--write", "lines", "overlay")
    assert {**contents(), "predictions/summary.json": b""} == {**before, "predictions/summary.json": b""}
    (tmp_path / "predictions" / "mine.txt").write_text("kept")
    predict(other, "frames/clip/000.jpg", "--overwrite")
    names = {name.removeprefix("predictions/") for name in contents()}
    marks = {".lgad-predictions", "lanes.jsonl", "summary.json"}
    assert names == {*marks, "mine.txt", "frames/clip/000.lines.txt"}


@pytest.mark.parametrize("arguments", [(), ("--overwrite",)])
def test_folders_of_other_use_are_refused(model: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_roads(tmp_path / "frames", 1)
    before = contents("frames")
    assert "They are not replaced" in fails(model, "frames", "--out", "frames", *arguments)
    (tmp_path / "file").write_text("mine")
    assert "is a file" in fails(model, "frames", "--out", "file", *arguments)
    assert contents("frames") == before


@pytest.mark.parametrize(
    ("sources", "word"),
    [
        (["nope"], "nope"),
        (["empty"], "empty holds no images"),
        (["zero.mp4"], "zero.mp4 is empty"),
        (["text.mp4"], "text.mp4 is no image or video"),
        (["nothing*.jpg"], "nothing*.jpg"),
        (["97"], "97 is no camera"),
        (["list.txt"], "--root"),
        (["empty.txt"], "names no images"),
        (["list.json"], "raw_file"),
        (["damaged.json"], "damaged.json:1"),
        (["-"], "no images"),
        (["*.mp4"], "text.mp4 is no image or video"),
        (["*.md"], "*.md"),
        (["head.avi"], "head.avi is no image or video"),
        (["frames/clip/000.jpg", "frames/clip/000.png"], "would be one file"),
    ],
)
def test_sources_that_are_none(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    sources: list[str],
    word: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    write_roads(tmp_path / "frames", 1)
    (tmp_path / "frames/clip/000.png").write_bytes((tmp_path / "frames/clip/000.jpg").read_bytes())
    (tmp_path / "empty").mkdir()
    for name, text in {
        "zero.mp4": "", "text.mp4": "no video", "list.txt": "clip/9.jpg\n", "empty.txt": "\n", "list.json": "[1]\n",
        "damaged.json": "{", "97.jpg": "",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    video = write_video(tmp_path / "clip.avi", 1).read_bytes()
    (tmp_path / "head.avi").write_bytes(video[: video.find(b"00dc")])
    capfd.readouterr()
    assert word in fails(model, *sources)
    assert capfd.readouterr() == ("", "")  # nothing of OpenCV's own
    assert not Path("predictions").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(50)])
def test_models_that_are_none(tmp_path: Path, content: bytes) -> None:
    write_roads(tmp_path / "frames", 1)
    (tmp_path / "model.ckpt").write_bytes(content)
    assert "is not a checkpoint" in fails("model.ckpt", "frames")
    assert "There is no checkpoint" in fails("nope.ckpt", "frames")
    assert not Path("predictions").exists()


def test_a_folder_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    write_roads(tmp_path / "frames", 1)
    assert "cannot be written" in fails(model, "frames", "--out", "/proc/predictions")


@pytest.mark.parametrize(("source", "limit"), [("frames", 6000), ("clip.avi", 14000)])
def test_a_full_disk_leaves_nothing_half_written(model: Path, tmp_path: Path, source: str, limit: int) -> None:
    write_roads(tmp_path / "frames", 30)
    write_video(tmp_path / "clip.avi", 30)
    arguments = [str(model), source, "--write", "overlay", "--device", "cpu"]
    result = finish(start("lgad-predict", *arguments, folder=tmp_path, most_bytes=limit))
    assert result.code == 1
    assert "Traceback" not in result.stderr
    assert "cannot be written" in result.stderr.splitlines()[-1]
    assert not [path for path in Path("predictions").rglob("*") if ".part" in path.name]
    assert not Path("predictions/lanes.jsonl").exists()
    assert not list(Path("predictions").rglob("*.mp4"))
    predict(*arguments, "--resume")
    assert len(records()) == 30


def test_a_disk_that_is_full_at_the_start_leaves_what_can_be_continued(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_roads(tmp_path / "frames", 2)
    predict(model, "frames")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk)
        assert "continue with --resume" in fails(model, "frames", "--resume")
    with pytest.raises(LgadError, match="holds predictions of lgad-predict"):
        empty_folder(tmp_path / "predictions")
    predict(model, "frames", "--resume")
    assert len(records()) == 2


def test_predictions_of_a_training_are_not_mixed_with_others(model: Path, tmp_path: Path) -> None:
    write_roads(tmp_path / "frames", 1)
    claim_folder(tmp_path / "predictions")
    Path("predictions/old.lines.txt").write_text("")
    before = contents()
    for option in ("--resume", "--overwrite"):
        assert "the predictions of a training" in fails(model, "frames", option)
    assert contents() == before


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom lgad_lightning.commands.predict import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print('heavy:', {'torch', 'lightning', 'cv2', 'scipy', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: set()\n")


def test_a_pattern_means_other_images_in_another_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in "ab":
        (name,) = write_roads(tmp_path / folder / "frames", 1)
    for sources in (["frames/**/*.jpg"], ["-"]):
        out = tmp_path / f"out{len(sources[0])}"
        for folder in "ab":
            monkeypatch.chdir(tmp_path / folder)
            monkeypatch.setattr(sys, "stdin", io.StringIO(f"frames/{name}\n"))
            if folder == "a":
                predict(model, *sources, "--out", out)
            else:
                assert "of other images" in fails(model, *sources, "--out", out, "--resume")


def test_videos_of_one_name_are_refused_and_counted_once(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    write_video(path, 2)
    predict(model, "a.avi", "./a.avi", "--out", "once")
    assert len(records("once")) == 2
    other = path.relative_to(path.anchor)  # within the current folder; its lanes would have the place of the first's
    other.parent.mkdir(parents=True)
    write_video(other, 2)
    assert "would be in the same files" in fails(model, other, path, "--out", "two")


def test_a_pattern_finds_videos(model: Path, tmp_path: Path) -> None:
    for name in "ab":
        write_video(tmp_path / f"{name}.avi", 1)
    predict(model, "*.avi")
    assert [record["image"] for record in records()] == ["a.avi/000000.jpg", "b.avi/000000.jpg"]


def test_the_recording_of_a_camera_ends_at_ctrl_c(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.avi", 12)
    video = Video("clip.avi")
    images = list(video.frames())
    video.source, video.length = 0, None

    def frames(_: Video) -> Any:
        for _ in range(3):
            yield from images
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            time.sleep(0.01)
            yield images[0]

    monkeypatch.setattr("lgad_lightning.inference.sources.open_video", lambda source: video)
    monkeypatch.setattr(Video, "frames", frames)
    predict(model, "0", "--write", "overlay", "tusimple")
    found = len(records())
    assert found > 0
    assert Path("predictions/overlays/camera0.mp4").is_file()
    assert len(Path("predictions/predictions.json").read_text().splitlines()) == found


def test_overwriting_leaves_nothing_of_before(model: Path, tmp_path: Path) -> None:
    names = write_roads(tmp_path / "frames", 3)
    predict(model, "frames", "--write", "lines", "overlay")
    text = Path("predictions/lanes.jsonl").read_text().splitlines()
    Path("predictions/lanes.jsonl").write_text(f"{text[0]}\n{{\n{text[2]}\n")
    Path("predictions/overlays/notes.txt").write_text("mine")
    predict(model, f"frames/{names[0]}", "--overwrite")
    assert len(list(Path("predictions").rglob("*.lines.txt"))) == 1
    assert [path.name for path in Path("predictions/overlays").rglob("*.*")] == ["notes.txt"]
    Path("predictions/lanes.jsonl").unlink()
    assert "holds predictions" in fails(model, "frames")


def test_names_that_are_too_long_are_told_first(model: Path, tmp_path: Path) -> None:
    (name,) = write_roads(tmp_path / "frames", 1)
    for length in (230, 248):
        shutil.copy(tmp_path / "frames" / name, tmp_path / f"{length * 'a'}.jpg")
    predict(model, f"{230 * 'a'}.jpg")
    assert "too long a name" in fails(model, f"{248 * 'a'}.jpg", "--out", "other")
    assert not Path("other").exists()


def test_an_image_too_wide_for_a_jpeg_is_told(model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((16, 65_600, 3), np.uint8))
    assert "leave out --write overlay" in fails(model, "wide.png", "--write", "overlay")


def test_saved_students_that_differ_in_their_decoder_are_not_mixed(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="needs the extra `hub`")
    write_roads(tmp_path / "frames", 2)
    student = make_student()
    one = student.save_pretrained(tmp_path / "one")
    student.decoder = type(student.decoder)(threshold=0.9)
    other = student.save_pretrained(tmp_path / "other")
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    predict(one, "frames")
    assert "another model" in fails(other, "frames", "--resume")


def test_a_list_of_tusimple_gets_the_rows_that_it_asks_for(model: Path, tmp_path: Path) -> None:
    names = write_roads(tmp_path, 2)
    rows = list(range(60, 140, 10))
    lines = [{"raw_file": names[0], "h_samples": rows}, {"raw_file": names[1]}]
    (tmp_path / "list.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    predict(model, "list.json", "--write", "tusimple")
    written = [json.loads(line) for line in (tmp_path / "predictions/predictions.json").read_text().splitlines()]
    assert [{len(lane) for lane in line["lanes"]} for line in written] == [{len(rows)}, {56}]
    (tmp_path / "list.json").write_text(json.dumps({"raw_file": names[0], "h_samples": "60"}))
    assert "must be a list of whole numbers" in fails(model, "list.json", "--out", "other")
