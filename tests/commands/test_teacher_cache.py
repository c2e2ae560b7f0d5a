import importlib
from pathlib import Path
from typing import Any

import pytest

from lgad_lightning.commands.teacher_cache import cached_teacher


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "seed": 1,
        "run_dir": "/runs/1",
        "network": {"channels": [8, 16, 24]},
        "trainer": {"max_epochs": 12, "default_root_dir": "/runs/1"},
        "callbacks": {"last": {"dirpath": "/runs/1/teacher"}},
        "data": {"root": "/data", "num_workers": 2, "batch_size": 8},
        "teacher": {
            "cache_dir": "/cache",
            "module": {"optimizer": {"lr": 0.1}},
            "network": {"in_channels": 5},
            "trainer": {"max_epochs": 4},
            "callbacks": {},
        },
    } | changes


def test_a_folder_of_any_name_finds_the_same_teacher() -> None:
    folders = ("/runs/ü 1", '/runs/"2"')
    found = {
        cached_teacher(settings(run_dir=folder, callbacks={"last": {"dirpath": f"{folder}/teacher"}}), "roads")
        for folder in folders
    }
    assert len(found) == 1


def test_a_run_elsewhere_finds_the_same_teacher() -> None:
    elsewhere = settings(
        run_dir="/runs/2",
        trainer={"max_epochs": 50, "default_root_dir": "/runs/2", "enable_progress_bar": False},
        callbacks={"last": {"dirpath": "/runs/2/teacher"}},
        data={
            "root": "/other",
            "num_workers": 8,
            "batch_size": 8,
            "label_cache": "/x",
            "on_error": "skip",
            "mean": [0],
        },
    )
    assert cached_teacher(elsewhere, "CULane-1") == cached_teacher(settings(), "CULane-1")


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"network": {"channels": [16, 32, 64]}},
        {"trainer": {"max_epochs": 12, "precision": "bf16-mixed"}},
        {"callbacks": {"ema": {"decay": 0.9}}},
        {"data": {"root": "/data", "num_workers": 2, "batch_size": 16}},
        {"teacher": settings()["teacher"] | {"module": {"optimizer": {"lr": 0.2}}}},
        {"teacher": settings()["teacher"] | {"trainer": {"max_epochs": 5}}},
        {"teacher": settings()["teacher"] | {"callbacks": {"ema": {"decay": 0.9}}}},
    ],
)
def test_what_changes_the_weights_changes_the_place(changes: dict[str, Any]) -> None:
    assert cached_teacher(settings(**changes), "CULane-1") != cached_teacher(settings(), "CULane-1")


def test_data_sets_and_cache_folders_are_told_apart() -> None:
    assert cached_teacher(settings(), "CULane-2") != cached_teacher(settings(), "CULane-1")
    place = cached_teacher(settings(), "CULane-1")
    assert place is not None
    assert place.parent == Path("/cache")
    assert cached_teacher(settings(teacher=settings()["teacher"] | {"cache_dir": None}), "CULane-1") is None


def test_a_class_of_ones_own_that_was_changed_is_another_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "my_teachers_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("from my_teachers_of_a_test.mine import Mine\n")
    (package / "mine.py").write_text("class Mine: ...\n")
    importlib.import_module(package.name)
    mine = settings(teacher=settings()["teacher"] | {"module": {"_target_": f"{package.name}.Mine"}})
    before = cached_teacher(mine, "CULane-1")
    assert before == cached_teacher(mine, "CULane-1") != cached_teacher(settings(), "CULane-1")
    (package / "mine.py").write_text("class Mine: width = 3\n")
    assert cached_teacher(mine, "CULane-1") != before


def test_a_log_does_not_make_another_teacher() -> None:
    logged = settings(callbacks={"learning_rate": {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor"}})
    assert cached_teacher(logged, "A") == cached_teacher(settings(callbacks={"learning_rate": None}), "A")


def test_an_augmentation_of_ones_own_that_was_changed_makes_another_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "my_augmentation_of_a_test.py"
    file.write_text("class Mine: ...\n")
    importlib.import_module(file.stem)
    mine = settings(data={"augmentation": {"_target_": f"{file.stem}.Mine"}})
    before = cached_teacher(mine, "A")
    file.write_text("class Mine: angle = 3\n")
    assert cached_teacher(mine, "A") != before


def test_other_weights_to_begin_with_make_another_teacher(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"1")
    mine = settings(network={"pretrained": str(tmp_path / "weights.bin")})
    before = cached_teacher(mine, "A")
    (tmp_path / "weights.bin").write_bytes(b"2")
    assert cached_teacher(mine, "A") != before
