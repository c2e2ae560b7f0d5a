import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.comparison import compare, steps_until, summarise
from lgad_lightning.errors import LgadError

figures = st.floats(0, 1).map(lambda value: round(value, 4))
arms = st.dictionaries(st.integers(1, 20), figures, min_size=2, max_size=8)


def test_the_interval_is_students() -> None:
    """By hand: mean 2, deviation 1, t(.975, 2) = 4.3027, divided by the root of 3."""
    summary = summarise([1.0, 2.0, 3.0])
    assert summary[:2] == (2.0, 1.0)
    assert summary.high == pytest.approx(2 + 4.302653 / math.sqrt(3), rel=1e-6)
    assert summary.low == pytest.approx(4 - summary.high)


def test_one_figure_has_no_interval() -> None:
    assert summarise([0.5])[0] == 0.5
    assert math.isnan(summarise([0.5]).low)
    assert not compare({1: 0.7}, {1: 0.5}).established


@pytest.mark.parametrize("broken", [[], [0.1, math.nan], [math.inf]])
def test_what_is_not_finite_is_never_averaged(broken: list[float]) -> None:
    with pytest.raises(LgadError, match="finite"):
        summarise(broken)


def test_eight_wins_of_eight_are_two_sign_patterns_of_256() -> None:
    arm = {seed: 0.8 + seed / 1000 for seed in range(8)}
    difference = compare(arm, dict.fromkeys(range(8), 0.7))
    assert difference.p == pytest.approx(2 / 256)
    assert difference.established


def test_two_equal_differences_establish_nothing() -> None:
    assert not compare({1: 5, 2: 6}, {1: 4, 2: 5}).established
    assert compare(dict.fromkeys(range(8), 5), dict.fromkeys(range(8), 4)).established


def test_differences_are_paired_by_seed() -> None:
    """The seeds differ far more than the arms: only the pairing shows it."""
    baseline = {seed: seed / 10 for seed in range(8)}
    arm = {seed: figure + 0.01 + seed / 10_000 for seed, figure in baseline.items()}
    assert compare(arm, baseline).established
    assert compare(arm, baseline | {99: 5.0}).seeds == 8


@given(arms)
def test_an_arm_does_not_differ_from_itself(arm: dict[int, float]) -> None:
    difference = compare(arm, arm)
    assert difference[:4] == (0.0, 0.0, 0.0, 1.0)
    assert not difference.established


@given(st.lists(st.tuples(figures, figures), min_size=2, max_size=8))
def test_the_other_way_round_is_the_same_with_another_sign(pairs: list[tuple[float, float]]) -> None:
    one, other = dict(enumerate(first for first, _ in pairs)), dict(enumerate(second for _, second in pairs))
    there, back = compare(one, other), compare(other, one)
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert there.p == pytest.approx(back.p)


def test_arms_without_a_common_seed_are_refused() -> None:
    with pytest.raises(LgadError, match="no seed in common"):
        compare({1: 0.5}, {2: 0.5})


def test_steps_until_a_figure_is_reached() -> None:
    assert steps_until([75, 150, 225], [0.1, math.nan, 0.6], 0.5) == 225
    assert steps_until([75, 150], [0.1, 0.2], 0.5) is None


def test_sums_of_differences_that_are_equal_count_as_equal() -> None:
    """In floating point, 70.9 - 70.7 is not exactly 0.2. With fractions, p is 12 of 128."""
    arm = dict(enumerate([70.9, 70.9, 71.5, 71.0, 71.7, 71.1, 71.2]))
    baseline = dict(enumerate([70.7, 71.0, 71.3, 71.0, 71.3, 70.8, 71.1]))
    assert compare(arm, baseline).p == pytest.approx(0.09375)


def test_p_is_never_shown_as_zero() -> None:
    found = compare({seed: 0.5 + seed / 100 for seed in range(13)}, dict.fromkeys(range(13), 0.4))
    assert (found.p_text, found._replace(p=0.25).p_text) == ("<0.001", "0.250")
