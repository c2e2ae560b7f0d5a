import json
import re
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.commands.data import main
from lgad_lightning.curation.check import _compare
from lgad_lightning.data import CULaneDataModule
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import Lane, write_lines
from lgad_lightning.longwork import resumable
from tests.helpers.commands import environment, finish, start
from tests.helpers.warm import Warm, console_script


def run(*arguments: object) -> object:
    """The exit code, or the message, of the command run in this process."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "roads"
    sizes = ("--train", 6, "--val", 2, "--test", 9, "--size", "328x118", "--workers", 0)
    assert run("synth", folder, *sizes) == 0
    return folder


@pytest.fixture
def copy(roads: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(roads, tmp_path / "copy"))


def check(folder: Path, *arguments: object) -> tuple[object, dict]:
    out = folder.parent / "check.json"
    code = run("check", folder, "--json", out, "--workers", 0, *arguments)
    return code, json.loads(out.read_text())


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.rglob(pattern))[0]


def test_a_sound_data_set_passes(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = check(copy)
    assert code == 0
    assert result["ok"]
    assert result["findings"] == {}
    images = {split: counts["images"] for split, counts in result["splits"].items()}
    assert {"train": 6, "val": 2, "test": 9, "test: night": 1}.items() <= images.items()
    assert len(images) == 3 + 9
    assert "Ready for training" in capsys.readouterr().out


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def paint(path: Path, value: int) -> None:
    cv2.imwrite(str(path), np.full((118, 328), value, np.uint8))


def lanes(path: Path, *points: list[list[float]]) -> None:
    write_lines(path, [Lane(lane, (118, 328)) for lane in points])


FAULTS = {
    "image": ("train_000.MP4/*.jpg", cut),
    "lanes": ("train_000.MP4/*.lines.txt", lambda path: path.write_text("1 2 three 4")),
    "label": ("laneseg_label_w16/*/train_000.MP4/*.png", lambda path: paint(path, 9)),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_would_spoil_a_training_gives_exit_code_1(copy: Path, kind: str) -> None:
    pattern, damage = FAULTS[kind]
    damage(first(copy, pattern))
    code, result = check(copy)
    assert code == 1
    assert {kind} == {name for name, finding in result["findings"].items() if finding["severity"] == "error"}
    assert result["findings"][kind]["count"] == 1
    assert "00000" in result["findings"][kind]["examples"][0]


def test_a_missing_mask_image_and_list(copy: Path) -> None:
    first(copy, "laneseg_label_w16/*/train_000.MP4/*.png").unlink()
    first(copy, "val_000.MP4/*.jpg").unlink()
    (copy / "list/test.txt").unlink()
    code, result = check(copy)
    assert code == 1
    assert set(result["findings"]) == {"label", "image", "split"}


def test_warnings_do_not_fail(copy: Path) -> None:
    line = (copy / "list/train_gt.txt").read_text().splitlines()
    line[0] = line[0][:-7] + "0 0 0 0"
    (copy / "list/train_gt.txt").write_text("\n".join(line) + "\n")
    files = sorted(copy.rglob("train_000.MP4/*.lines.txt"))
    lanes(files[1], [[0, 117], [300, 40]], [[1, 117], [301, 40]], [[5, 5]], [[-400, 117], [0, 40]])
    code, result = check(copy)
    assert code == 0
    assert set(result["findings"]) == {"bits", "duplicate", "short", "outside", "disagree"}


def test_damage_inside_an_image_is_noticed(copy: Path) -> None:
    path = first(copy, "train_000.MP4/*.jpg")
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + content[half + 500 :])
    code, result = check(copy)
    assert code == 0  # it decodes
    assert set(result["findings"]) == {"damaged"}
    assert "00000.jpg: Corrupt JPEG data" in result["findings"]["damaged"]["examples"][0]


def test_an_image_listed_twice_is_told(copy: Path) -> None:
    lists = copy / "list"
    name, mask = (lists / "train_gt.txt").read_text().split()[:2]
    (lists / "val_gt.txt").write_text((lists / "val_gt.txt").read_text() + f"{name} {mask} 1 1 1 1\n")
    result = check(copy)[1]
    assert result["findings"]["twice"]["examples"] == [f"{name[1:]} is in train and again in val"]


def test_counts_are_compared_with_the_official_ones_but_for_generated_data(copy: Path) -> None:
    (copy / "synthetic.json").unlink()
    code, result = check(copy)
    assert code == 0
    assert set(result["findings"]) == {"count"}
    assert result["splits"]["test: normal"]["official_lanes"] == 32_777
    assert "train has 6 images, the official one 88,880" in result["findings"]["count"]["examples"]


def test_stale_test_annotations_are_known_by_their_number() -> None:
    (finding,) = _compare({"test": (34_680, 92_946)}, CULaneDataModule.official)
    assert "before April 2018" in finding.detail


def test_culane_has_four_slots(copy: Path) -> None:
    assert "4 lane slots" in str(run("check", copy, "--slots", 6))
    assert run("check", copy, "--slots", 4, "--workers", 0) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--workers", "-1"), "'-1' is no whole number of at least 0"),
        (("stats", "--input-size", "abc"), "'abc' is no size"),
        (("stats", "--input-size", "0x0"), "'0x0' is no size"),
        (("preview", "--images", "0"), "at least 1"),
        (("check", "--slots", "0"), "at least 1"),
    ],
)
def test_nonsense_arguments_are_told(
    roads: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments[0], roads, *arguments[1:]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("place", ["/proc/nothing/x.json", "/proc/x.json", "/dev/null", "/", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_before_the_work(roads: Path, place: str) -> None:
    assert "cannot be written" in str(run("check", roads, "--json", place))


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        ("check", "--json", "own.json"),
        ("stats", "--json", "own.json"),
        ("stats", "--picture", "own.png"),
        ("preview", "--out", "own.png"),
    ],
)
def test_files_of_the_user_are_not_replaced(copy: Path, command: str, option: str, name: str) -> None:
    arguments = (command, copy, option, copy / name) + (("--workers", 0) if command != "preview" else ())
    for content in (b"", b'{"years": "of work"}', cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()):
        (copy / name).write_bytes(content)
        assert "--overwrite" in str(run(*arguments))
        assert (copy / name).read_bytes() == content
    assert run(*arguments, "--overwrite") == 0
    assert run(*arguments) == 0  # its own file of before
    assert not [path for path in copy.iterdir() if path.name.startswith(".own")]


def test_a_list_is_no_figures_to_replace(copy: Path) -> None:
    (copy / "train.jsonl").write_text('{"image": "a.jpg", "lanes": []}\n')
    assert "--overwrite" in str(run("check", copy, "--json", copy / "train.jsonl"))


def test_figures_of_one_command_are_not_replaced_by_another(copy: Path) -> None:
    picture, figures = copy / "a.png", copy / "a.json"
    assert run("stats", copy, "--picture", picture, "--json", figures, "--workers", 0) == 0
    assert "--overwrite" in str(run("preview", copy, "--out", picture))
    assert "--overwrite" in str(run("check", copy, "--json", figures))


def test_an_empty_split_is_an_error(copy: Path) -> None:
    (copy / "list/train_gt.txt").write_text("")
    code, result = check(copy)
    assert code == 1
    assert "no images for train" in result["findings"]["split"]["examples"][0]
    for command in ("preview", "stats"):
        assert "no images for train" in str(run(command, copy))


def test_a_list_that_is_no_utf8_is_checked(copy: Path) -> None:
    path = copy / "list/train_gt.txt"
    path.write_bytes(path.read_bytes() + b"/\xe4.jpg /\xe4.png 0 0 0 0\n")
    code, result = check(copy)
    assert code == 1
    assert "no UTF-8" in result["findings"]["split"]["examples"][0]


@pytest.fixture(scope="module")
def many_roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    roads = tmp_path_factory.mktemp("many") / "roads"
    return generate(SyntheticData(train=100, val=1, test=9, image_size=(148, 410)), roads, workers=0)


def check_saving_often() -> None:
    resumable._SECONDS = 0.1
    console_script()


@pytest.mark.slow
def test_an_interrupted_check_goes_on(many_roads: Path, tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    command = ("check", str(many_roads), "--json", str(out), "--workers", "1")
    process = Warm(Path("lgad-data"), command, tmp_path, environment(tmp_path), main=check_saving_often)
    while not list(tmp_path.glob("cache/unfinished/*.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code not in (None, 0)
    assert not out.exists()
    assert "the same command goes on from here" in ended.stderr
    rest = finish(start("lgad-data", *command, folder=tmp_path))
    assert re.search(r"continuing after \d+ of 110", rest.stderr)
    assert json.loads(out.read_text())["splits"]["train"]["images"] == 100
    assert not list(tmp_path.glob("cache/unfinished/*.pt"))


def test_other_layouts_are_recognised(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        path = tmp_path / "own" / split / "a.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), np.zeros((118, 328, 3), np.uint8))
        lanes(path.with_suffix(".lines.txt"), [[0, 117], [150, 40]], [[320, 117], [200, 40]])
    code, result = check(tmp_path / "own", "--slots", 2)
    assert code == 0
    assert result["splits"]["train"] == {"images": 1, "lanes": 2, "official_images": None, "official_lanes": None}


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "known layouts" in str(run("check", tmp_path))
    assert "no folder" in str(run("check", tmp_path / "nowhere"))


def test_statistics(roads: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "stats.json", tmp_path / "stats.png"
    arguments = ("--split", "test", "--input-size", "164x59", "--json", out, "--picture", picture, "--workers", 0)
    assert run("stats", roads, *arguments) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == 9
    assert sum(figures["class_share"]) == pytest.approx(1)
    assert sum(figures["existence"].values()) == 9
    assert figures["existence"]["0000"] == 1  # the crossroad
    left, right = figures["geometry"]["2"], figures["geometry"]["3"]
    assert left["bottom"]["mean"] < right["bottom"]["mean"]
    assert left["lean"]["mean"] > 0 > right["lean"]["mean"]
    assert 0 < left["length"]["mean"] < 1
    height, width, _ = cv2.imread(str(picture)).shape
    assert width == 640
    assert height > 59 + 4 * 20


def test_preview(roads: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "new folder" / "sheet.png"
    assert run("preview", roads, "--out", sheet, "--images", 3, "--input-size", "164x59") == 0
    assert cv2.imread(str(sheet)).shape == (3 * 59, 3 * 164, 3)
    assert run("preview", roads, "--out", sheet, "--images", 2, "--split", "test", "--input-size", "164x59") == 0
    assert cv2.imread(str(sheet)).shape == (2 * 59, 164, 3)
    assert ".png" in str(run("preview", roads, "--out", tmp_path / "sheet.xyz", "--images", 1))


def test_set_replaces_what_other_options_give(roads: Path, tmp_path: Path) -> None:
    settings = ("--set", "input_size=[36,80]", "crop_top=50", "augmentation=false")
    assert run("preview", roads, "--images", 1, "--out", tmp_path / "sheet.png", *settings) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (36, 80, 3)
    assert "the folder is already named" in str(run("check", roads, "--set", "root=elsewhere"))


def test_real_culane(shared_dir: Path, tmp_path: Path) -> None:
    """The real frames are sound; they are few, and one has a stub of a lane that its mask leaves out."""
    root = tmp_path / "culane"
    shutil.copytree(shared_dir / "real/culane/list", root / "list")
    for name in ("driver_23_30frame", "laneseg_label_w16"):
        (root / name).symlink_to(shared_dir / "real/culane" / name)
    lines = (root / "list/train_gt.txt").read_text().splitlines(keepends=True)
    for name, part in {"val_gt.txt": lines[:5], "test.txt": lines[5:10], "train_gt.txt": lines[10:]}.items():
        (root / "list" / name).write_text("".join(part))
    code, result = check(root)
    assert code == 0
    assert [result["splits"][split]["images"] for split in ("train", "val", "test")] == [31, 5, 5]
    assert {kind: finding["count"] for kind, finding in result["findings"].items()} == {
        "disagree": 1,
        "count": 5,
        "clip": 2,
    }


def test_real_culane_without_masks(shared_dir: Path, tmp_path: Path) -> None:
    """Slots drawn from the lanes are those of the official lists, but for the stub."""
    root = tmp_path / "culane"
    shutil.copytree(shared_dir / "real/culane/list", root / "list")
    (root / "driver_23_30frame").symlink_to(shared_dir / "real/culane/driver_23_30frame")
    result = check(root)[1]
    assert result["findings"]["bits"]["count"] == 1
    assert "01830.jpg: the list says" in result["findings"]["bits"]["examples"][0]


def test_real_tusimple_lanes_are_counted_without_their_images(shared_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "tusimple"
    root.mkdir()
    (root / "train_set").symlink_to(shared_dir / "real/tusimple/train_set")
    (root / "test_set").symlink_to(shared_dir / "real/tusimple/test_set")
    code, result = check(root)
    assert code == 1
    assert result["findings"].keys() == {"image"}
    assert result["findings"]["image"]["count"] == 3268 + 358 + 2782 - 6
    assert [counts["lanes"] for counts in result["splits"].values()] == [13_219, 1_118, 9_947]


def test_names_in_findings_are_no_markup(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    listed = copy / "list" / "train_gt.txt"
    listed.write_text(listed.read_text() + "/[night]/[/d.jpg /[night]/[/d.png 1 1 1 1\n")
    with pytest.raises(SystemExit):
        main(["check", str(copy), "--workers", "0"])
    assert "[night]/[/d.jpg" in capsys.readouterr().out


def test_more_lanes_than_any_road_has_are_told_at_once(copy: Path) -> None:
    path = first(copy, "train_*/*.lines.txt")
    path.write_text("1 2 3 4\n" * 9_999)
    code, result = check(copy)
    assert code == 1
    assert "has 9999 annotated lanes" in result["findings"]["lanes"]["examples"][0]
    shutil.rmtree(copy / "laneseg_label_w16")  # labels are drawn from the lanes: training says the same
    data = CULaneDataModule(copy, input_size=(36, 80), num_workers=0)
    data.setup("fit")
    with pytest.raises(LgadError, match="has 9999 annotated lanes"):
        list(data.train_dataloader())


def test_outputs_do_not_become_data(roads: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert run("convert", roads, own, "--to", "folder", "--workers", 0) == 0
    for arguments in (("preview", own, "--out", own / "a.png"), ("stats", own, "--picture", own / "a.png")):
        assert "outside" in str(run(*arguments))
    assert "outside" in str(run("check", own, "--json", own / "train" / "a.json"))
    assert "outside" in str(run("convert", own, own / "again", "--to", "culane"))


def test_two_outputs_in_one_file(roads: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    given = ("--json", tmp_path / "a.png", "--picture", tmp_path / "link.png")
    assert "give two names" in str(run("stats", roads, *given))


def test_a_link_to_an_empty_folder_is_written_through(roads: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert run("convert", roads, tmp_path / "link", "--to", "folder", "--workers", 0) == 0
    assert (tmp_path / "link").is_symlink()
    assert len(list((tmp_path / "disk").rglob("*.jpg"))) == 17
    (tmp_path / "new").symlink_to(tmp_path / "roads")
    assert run("synth", tmp_path / "new", "--train", 1, "--val", 1, "--test", 1, "--size", "64x32", "--workers", 0) == 0
    assert (tmp_path / "roads" / "synthetic.json").is_file()
