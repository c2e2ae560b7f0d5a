import pytest

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
