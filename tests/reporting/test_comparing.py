import pytest
import yaml

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


def test_a_figure_that_is_defined_for_no_run_is_refused(arms: list[Arm]) -> None:
    with pytest.raises(LgadError, match="cross/f1 is not defined for any of these runs"):
        compare_arms(arms, "cross/f1")


def test_a_baseline_without_the_figure_is_refused(make: Make) -> None:
    runs = [read_run(make("a", -1.0, distillation="none")), read_run(make("b", 0.5))]
    with pytest.raises(LgadError, match="distillation=none, has no complete run for which f1 is defined"):
        compare_arms(group_runs(runs), "f1", "none")
    assert compare_arms(group_runs(runs), "f1").baseline.name == "distillation=lgad"


def test_lower_false_positives_are_better_and_may_be_below_zero(make: Make) -> None:
    curves = {"none": {9: 0.6, 19: 0.2}, "lgad": {9: 0.7, 19: 0.3, 29: -0.1}}
    runs = []
    for name, curve in curves.items():
        folder = make(name, list(curve.values())[-1], distillation=name, curve=curve)
        for path in (folder / "metrics.json", folder / "student/version_0/metrics.csv"):
            path.write_text(path.read_text().replace("f1", "fp"))
        runs.append(read_run(folder))
    first, second = compare_arms(group_runs(runs), "fp").results
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(-0.3)
    assert (first.steps, second.steps) == (20, 30)


def test_validations_that_are_not_defined_reach_nothing(make: Make) -> None:
    curves = {"none": {4: float("nan"), 9: 0.4, 19: -1.0}, "lgad": {4: 0.3, 9: float("inf"), 19: 0.5}}
    arms = group_runs([read_run(make(name, 0.5, distillation=name, curve=curve)) for name, curve in curves.items()])
    assert [result.steps for result in compare_arms(arms, "f1").results] == [10, 20]


def test_of_a_figure_of_ones_own_it_is_not_known_when_it_is_reached(make: Make) -> None:
    """A lateral error is better if it is lower."""
    runs = []
    for name, curve in {"none": {9: 0.9, 19: 0.2}, "lgad": {9: 0.8, 19: 0.1}}.items():
        folder = make(name, curve[19], distillation=name, curve=curve)
        for path in (folder / "metrics.json", folder / "student/version_0/metrics.csv"):
            path.write_text(path.read_text().replace("f1", "lateral_error"))
        runs.append(read_run(folder))
    assert [result.steps for result in compare_arms(group_runs(runs), "lateral_error").results] == [None, None]


def test_figures_of_label_maps_are_not_compared_between_other_label_maps(make: Make) -> None:
    runs = []
    for name, size in (("small", [80, 208]), ("large", [160, 416])):
        folder = make(name, 0.5, network=name)
        path = folder / ".hydra" / "config.yaml"
        config = yaml.safe_load(path.read_text())
        config["data"]["input_size"] = size
        path.write_text(yaml.safe_dump(config))
        runs.append(read_run(folder))
    arms = group_runs(runs)
    with pytest.raises(LgadError, match=r"data\.input_size is \[80, 208\] in the one"):
        compare_arms(arms, "iou")
    assert compare_arms(arms, "f1").results[1].difference is not None
