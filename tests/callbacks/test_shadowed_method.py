import inspect
import pickle
from copy import deepcopy
from functools import wraps
from typing import Any

import pytest

from lgad_lightning.callbacks.shadowed_method import ShadowedMethod


class Counter:
    """Something with a method."""

    def add(self, amount: int) -> int:
        """Add up."""
        self.total = getattr(self, "total", 0) + amount
        return self.total


def double(method: Any, amount: int) -> int:
    return 2 * method(amount)


def negate(method: Any, amount: int) -> int:
    return -method(amount)


def test_shadow_and_removal():
    counter, other = Counter(), Counter()
    shadow = ShadowedMethod(counter, "add", double)
    assert counter.add(1) == 2
    assert other.add(1) == 1
    shadow.remove()
    shadow.remove()
    assert counter.add(1) == 2
    assert "add" not in vars(counter)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_overlapping_shadows_come_off_in_any_order(order: tuple[int, ...]):
    counter = Counter()
    shadows = [ShadowedMethod(counter, "add", around) for around in (double, negate, double)]
    factors = [2, -1, 2]
    for index in order:
        counter.total = 0
        assert counter.add(1) == factors[0] * factors[1] * factors[2]
        shadows[index].remove()
        factors[index] = 1
    assert vars(counter) == {"total": 1}


def test_a_method_that_was_the_objects_own_comes_back():
    counter = Counter()
    own = counter.add = lambda amount: 7  # type: ignore[method-assign,assignment]
    first, second = ShadowedMethod(counter, "add", double), ShadowedMethod(counter, "add", negate)
    assert counter.add(1) == -14
    first.remove()
    second.remove()
    assert vars(counter)["add"] is own


def test_signature_and_documentation_are_the_innermost_methods():
    class Decorated(Counter):
        @wraps(Counter.add)
        def add(self, *args: Any) -> int:
            return Counter.add(self, *args)

    counter = Decorated()
    ShadowedMethod(counter, "add", double)
    ShadowedMethod(counter, "add", negate)
    assert counter.add.__wrapped__ is Counter.add
    assert inspect.getfullargspec(counter.add.__wrapped__).args == ["self", "amount"]
    assert counter.add.__doc__ == "Add up."


@pytest.mark.parametrize("copy", [deepcopy, lambda counter: pickle.loads(pickle.dumps(counter))])
def test_a_copy_is_plain(copy: Any):
    counter = Counter()
    ShadowedMethod(counter, "add", double)
    ShadowedMethod(counter, "add", double)
    copied = copy(counter)
    assert copied.add(3) == 3
    assert copied.total == 3
    assert not hasattr(counter, "total")


def test_a_pickle_does_not_need_this_package():
    counter = Counter()
    ShadowedMethod(counter, "add", double)
    ShadowedMethod(counter, "add", negate)
    assert b"lgad_lightning" not in pickle.dumps(counter)
