import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.arms import group_runs
from lgad_lightning.reporting.run import read_run
from tests.reporting.conftest import Make


def test_runs_that_differ_in_their_seed_are_one_arm(make: Make) -> None:
    folders = [
        make("a", 0.5, seed=1),
        make("b", 0.6, seed=2),
        make("c", 0.7, seed=1, distillation="none"),
        make("d", None),
    ]
    arms = group_runs([read_run(folder) for folder in folders])
    assert [(arm.name, sorted(arm.runs), len(arm.others)) for arm in arms] == [
        ("distillation=lgad", [1, 2], 1),
        ("distillation=none", [1], 0),
    ]
    assert arms[0].figures("f1") == {1: 0.5, 2: 0.6}


def test_an_arm_is_called_by_what_not_all_have(make: Make) -> None:
    folders = [make("a", 0.5), make("b", 0.5, num_classes=7)]
    assert [arm.name for arm in group_runs([read_run(folder) for folder in folders])] == ["default", "num_classes=7"]


def test_a_run_that_is_there_twice_is_refused(make: Make) -> None:
    with pytest.raises(LgadError, match="the same run"):
        group_runs([read_run(make("a", 0.5)), read_run(make("copy", 0.5))])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"root": "/data/others"}, "root is /data/roads"), ({"module": "mine.Module", "root": "/data/o"}, "module is")],
)
def test_runs_on_other_data_are_refused(make: Make, change: dict[str, str], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        group_runs([read_run(make("a", 0.5)), read_run(make("b", 0.5, seed=2, **change))])


@pytest.mark.parametrize(
    "change",
    [
        {"decoder": {"existence_threshold": 0.7}},
        {"metric": {"_target_": "mine.Metric"}},
        {"trainer": {"limit_test_batches": 3}},
        {"student": {"module": {"decoder": {"blur": 5}}}},
        {"student": {"trainer": {"limit_test_batches": 3}}},
    ],
)
def test_runs_whose_tests_differ_are_refused(make: Make, change: dict[str, Any]) -> None:
    with pytest.raises(LgadError, match=r"their tests differ, [a-z_.]+ is None in the one and \S+ in the other\.$"):
        group_runs([read_run(make("a", 0.5)), read_run(make("b", 0.5, seed=2, **change))])


@pytest.mark.parametrize(
    "change",
    [
        {"trainer": {"limit_train_batches": 3, "limit_val_batches": 3, "precision": "bf16-mixed"}},
        {"network": {"_target_": "other"}, "monitor": "val/iou"},
        {"student": {"module": {"optimizer": "other"}}},
    ],
)
def test_what_changes_the_training_alone_makes_an_arm(make: Make, change: dict[str, Any]) -> None:
    arms = group_runs([read_run(make("a", 0.5)), read_run(make("b", 0.5, seed=2, **change))])
    assert [len(arm.runs) for arm in arms] == [1, 1]


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Changes what a run has written."""
    content = yaml.safe_load((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("settings", "is_refused"),
    [
        ({"split": "0.8/0.1/0.1"}, True),
        ({"labels": {"test": ["a.json"]}}, True),
        ({"labels": {"train": ["a.json"]}}, False),
        ({"augmentation": False, "input_size": [288, 800]}, False),
    ],
)
def test_settings_of_the_data_that_change_the_test_are_refused(
    make: Make, settings: dict[str, Any], is_refused: bool
) -> None:
    other = rewrite(make("b", 0.5, seed=2), ".hydra/config.yaml", lambda config: config["data"].update(settings))
    with pytest.raises(LgadError, match="their tests differ") if is_refused else nullcontext():
        group_runs([read_run(make("a", 0.5)), read_run(other)])


def test_runs_with_other_numbers_of_annotated_lanes_are_refused(make: Make) -> None:
    folders = [
        rewrite(make(f"{missed}", 0.5, seed=missed), "metrics.json", lambda told: told["total"].update(fn=missed))  # noqa: B023
        for missed in (1, 2)
    ]
    with pytest.raises(LgadError, match="their tests differ, with 4 and 5 annotated lanes"):
        group_runs([read_run(folder) for folder in folders])


def test_runs_of_two_protocols_are_refused(make: Make) -> None:
    other = rewrite(make("b", 0.5, seed=2), "metrics.json", lambda told: told["total"].update(pixel_iou=0.5))
    with pytest.raises(LgadError, match="scored by two protocols"):
        group_runs([read_run(make("a", 0.5)), read_run(other)])


def test_data_that_were_changed_between_two_runs_are_refused(make: Make) -> None:
    other = rewrite(make("b", 0.5, seed=2), "metrics.json", lambda told: told["data"].update(identity="another"))
    with pytest.raises(LgadError, match="the data in /data/roads have been changed"):
        group_runs([read_run(make("a", 0.5)), read_run(other)])


def test_tests_that_were_changed_between_two_runs_are_refused(make: Make) -> None:
    runs = [
        read_run(rewrite(make(name, 0.5, seed), "metrics.json", lambda told: told["data"].update(test=name)))  # noqa: B023
        for seed, name in enumerate(("before", "after"))
    ]
    with pytest.raises(LgadError, match="annotations of the test differ"):
        group_runs(runs)
    group_runs([runs[0], read_run(make("of an earlier version", 0.5, seed=2))])


def test_runs_that_failed_early_belong_to_the_arm_of_their_overrides(make: Make) -> None:
    """They have no configuration yet."""
    folders = [make("a", 0.5), make("b", None, seed=2), make("c", None, distillation="sad"), make("d", 0.4, seed=3)]
    for folder in folders[1:3]:
        overrides = yaml.safe_load((folder / ".hydra/overrides.yaml").read_text())
        (folder / "failed.json").write_text(json.dumps({"overrides": overrides, "error": "no"}))
        for file in (folder / ".hydra").iterdir():
            file.unlink()
    arms = group_runs([read_run(folder) for folder in folders])
    assert [(arm.name, sorted(arm.runs), len(arm.others)) for arm in arms] == [
        ("distillation=lgad", [1, 3], 1),
        ("distillation=sad", [], 1),
    ]
