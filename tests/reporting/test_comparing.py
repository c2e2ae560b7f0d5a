import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.arms import Arm, group_runs
from lgad_lightning.reporting.comparing import compare_arms
from lgad_lightning.reporting.run import read_run
from tests.reporting.conftest import Make


@pytest.fixture
def arms(make: Make) -> list[Arm]:
    scores = {"none": (0.5, 0.6, 0.7), "lgad": (0.61, 0.7, 0.81)}
    folders = [
        make(f"{name}{seed}", score, seed=seed, distillation=name, curve={9: score / 2, 19: score, 29: score + 0.1})
        for name, row in scores.items()
        for seed, score in enumerate(row)
    ]
    return group_runs([read_run(folder) for folder in folders])


def test_arms_are_compared_seed_by_seed(arms: list[Arm]) -> None:
    first, second = compare_arms(arms, "f1").results
    assert first.difference is None
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(0.32 / 3)
    assert second.difference.established
    assert second.scenarios == {"normal": pytest.approx(0.32 / 3)}  # `cross` is defined for no run
    assert (first.steps, second.steps) == (30, 20)


def test_the_baseline_is_named_by_a_part_of_its_name(arms: list[Arm]) -> None:
    comparison = compare_arms(arms, "iou", "=lgad")
    assert comparison.baseline.name == "distillation=lgad"
    assert comparison.results[0].difference is not None
    assert comparison.results[0].difference.mean == pytest.approx(-0.16 / 3)
    for name in ("distillation", "nothing"):
        with pytest.raises(LgadError, match="there are: distillation=none, distillation=lgad"):
            compare_arms(arms, "f1", name)


def test_an_unknown_figure_is_told_with_those_that_are_known(arms: list[Arm], make: Make) -> None:
    with pytest.raises(LgadError, match="choose one of tp, f1"):
        compare_arms(arms, "accuracy")
    with pytest.raises(LgadError, match="None of these runs is complete"):
        compare_arms(group_runs([read_run(make("stopped", None))]), "f1")
