import importlib
import json
import multiprocessing
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.data.synthetic import SCENARIOS, SyntheticData, generate
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import culane_slots, rasterise, read_lines

SMALL = SyntheticData(train=5, val=2, test=9, image_size=(60, 164))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SMALL, tmp_path_factory.mktemp("small") / "data", workers=0)


def test_layout_is_culanes(small: Path) -> None:
    driver = f"driver_{SMALL.identity}_synthetic"
    files = contents(small)
    assert {f"list/{name}.txt" for name in ("train", "val", "test", "train_gt", "val_gt")} <= files.keys()
    assert {f"list/test_split/test{i}_{name}.txt" for i, name in enumerate(SCENARIOS)} <= files.keys()
    first = files["list/train_gt.txt"].decode().splitlines()[0].split()
    assert first[:2] == [f"/{driver}/train_000.MP4/00000.jpg", f"/laneseg_label_w16/{driver}/train_000.MP4/00000.png"]
    assert len(first) == 6
    images = [name for name in files if name.endswith(".jpg")]
    assert len(images) == 16
    assert {name.replace(".jpg", ".lines.txt") for name in images} <= files.keys()


def test_masks_lanes_and_bits_agree(small: Path) -> None:
    for line in (small / "list/train_gt.txt").read_text().splitlines():
        image, mask, *bits = line.split()
        label = cv2.imread(str(small / mask[1:]), cv2.IMREAD_UNCHANGED)
        assert [int((label == slot).any()) for slot in (1, 2, 3, 4)] == [int(bit) for bit in bits]
        lanes = read_lines((small / image[1:]).with_suffix(".lines.txt"), SMALL.image_size)
        assert np.array_equal(rasterise(culane_slots(lanes), SMALL.image_size, width=2), label)
        assert cv2.imread(str(small / image[1:])).shape == (60, 164, 3)


def test_bytes_depend_on_parameters_alone(small: Path, tmp_path: Path) -> None:
    assert contents(generate(SMALL, tmp_path / "again", workers=3)) == contents(small)


@pytest.mark.parametrize("other", [{"seed": 1}, {"train": 6}, {"image_size": (60, 160)}])
def test_identity_tells_data_sets_apart(other: dict[str, int]) -> None:
    parameters = {"train": 5, "val": 2, "test": 9, "image_size": (60, 164)}
    assert SyntheticData(**parameters).identity == SMALL.identity
    assert SyntheticData(**parameters | other).identity != SMALL.identity


def test_seeds_give_other_pictures(small: Path, tmp_path: Path) -> None:
    other = generate(SyntheticData(train=1, val=0, test=0, image_size=(60, 164), seed=1), tmp_path / "other", workers=0)
    assert next(other.rglob("*.jpg")).read_bytes() not in contents(small).values()


def test_the_current_folder_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert generate(SyntheticData(1, 0, 0, (60, 164)), Path(), workers=0) == tmp_path / "here"
    assert (tmp_path / "here/list/train.txt").is_file()


def test_a_complete_data_set_is_left_alone(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    generate(SMALL, small, workers=0)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


@pytest.mark.parametrize(
    "pattern", ["*/train_000.MP4/00001.jpg", "laneseg*/*/*/00000.png", "list/val_gt.txt", "*/*/*s.txt"]
)
def test_what_was_removed_is_written_again_and_nothing_else(small: Path, tmp_path: Path, pattern: str) -> None:
    root = Path(shutil.copytree(small, tmp_path / "copy"))
    removed = list(root.glob(pattern))
    assert removed
    for path in removed:
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert generate(SMALL, root, workers=0) == root
    assert contents(root) == contents(small)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_manifest_is_told(small: Path, tmp_path: Path, content: bytes) -> None:
    root = Path(shutil.copytree(small, tmp_path / "copy"))
    (root / "synthetic.json").write_bytes(content)
    with pytest.raises(LgadError, match=r"synthetic\.json is damaged"):
        generate(SMALL, root, workers=0)


def test_a_place_where_no_folder_can_be_is_told() -> None:
    with pytest.raises(LgadError, match="cannot be written"):
        generate(SMALL, Path("/proc/roads"), workers=0)


def test_an_interrupted_generation_is_continued(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def render_three(*arguments: object) -> np.ndarray:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    module = importlib.import_module("lgad_lightning.data.synthetic.generate")
    original = module.render
    monkeypatch.setattr(module, "render", render_three)
    with pytest.raises(KeyboardInterrupt):
        generate(SMALL, tmp_path / "data", workers=0)
    assert not (tmp_path / "data").exists()
    (next(tmp_path.glob(".data.*.partly")) / ".00001.jpg.123.part").write_bytes(b"half an image")  # as a kill leaves it
    generate(SMALL, tmp_path / "data", workers=0)
    assert len(calls) == 4 + 13  # the three that were complete are not drawn again
    assert contents(tmp_path / "data") == contents(small)


def test_a_full_disk_leaves_nothing_that_looks_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LgadError, match="No space left"):
        generate(SMALL, tmp_path / "data", workers=0)
    assert not (tmp_path / "data").exists()


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(LgadError, match="exists and is not empty"):
        generate(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_synthetic_data_set_is_not_overwritten(small: Path) -> None:
    with pytest.raises(LgadError, match="another synthetic data set"):
        generate(SyntheticData(train=1), small)


def test_an_empty_folder_may_be_given(tmp_path: Path) -> None:
    assert (generate(SyntheticData(1, 0, 0, (60, 164)), tmp_path, workers=0) / "synthetic.json").is_file()


def test_two_processes_may_ask_at_once(small: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=generate, args=(SMALL, tmp_path / "data"), kwargs={"workers": 0}) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert contents(tmp_path / "data") == contents(small)


@pytest.mark.parametrize(("name", "value"), [("image_size", (700, 1640)), ("image_size", (10, 10)), ("val", -1)])
def test_impossible_parameters_are_refused(name: str, value: object) -> None:
    with pytest.raises(LgadError, match=name):
        SyntheticData(**{name: value})  # type: ignore[arg-type]


def test_manifest_says_what_it_is(small: Path) -> None:
    manifest = json.loads((small / "synthetic.json").read_text())
    assert manifest["identity"] == SMALL.identity
    assert manifest["parameters"]["seed"] == 0
