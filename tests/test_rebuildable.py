import copy
import json
import pickle
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.rebuildable import Rebuildable, describe, find_class, rebuild


class Thing(Rebuildable):
    def __init__(self, first: Any, *, second: Any = 2, **options: Any) -> None:
        self.first, self.second, self.options = first, second, options


class Net(Rebuildable, nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_objects_with_plain_arguments_are_built_again(first: Any, second: Any) -> None:
    made = rebuild(describe(Thing(first, second=second, third=1)), Thing)
    assert (made.first, made.second, made.options) == (first, second, {"third": 1})


def test_nested_objects_are_built_again() -> None:
    made = rebuild(describe(Thing(Thing(1))), Thing)
    assert made.first.first == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_remember(copied: Any) -> None:
    assert describe(copied(Net(width=5)))["arguments"] == {"width": 5}
    assert describe(copied(Thing(1)))["arguments"]["first"] == 1


def test_keys_that_are_no_strings_are_not_described() -> None:
    assert describe(Thing({0: 2})) is None  # JSON would make "0" of it


def test_numbers_of_numpy_and_lists_of_hydra_are_plain() -> None:
    described = describe(Thing(OmegaConf.create([1, [2.5]]), second=np.float32(0.5)))
    assert described is not None
    assert described["arguments"] == {"first": [1, [2.5]], "second": 0.5}
    assert json.loads(json.dumps(described)) == described


def test_what_is_not_plain_is_not_described() -> None:
    assert describe(Thing(object())) is None
    for value in (b"ab", StrEnum("Side", ["LEFT"]).LEFT, np.longdouble(0.5)):  # type: ignore[attr-defined]
        assert describe(Thing(value)) is None
    assert describe(nn.Linear(1, 1)) is None


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class": "nowhere.Thing", "arguments": {}}, "import it first"),
        ({"class": "Thing", "arguments": {}}, "import it first"),
        ({"class": "os.system", "arguments": {"command": "false"}}, "is not a Thing"),
        ({"class": f"{__name__}.Thing", "arguments": {}}, "cannot be built with the arguments"),
    ],
)
def test_impossible_descriptions_are_refused(description: dict[str, Any], message: str) -> None:
    with pytest.raises(LgadError, match=message):
        rebuild(description, Thing)


def test_classes_of_this_package_are_found_without_an_import() -> None:
    assert find_class("lgad_lightning.networks.erfnet.ERFNet").__name__ == "ERFNet"


class Pretrained(Rebuildable):
    rebuilt_with = {"pretrained": False}  # noqa: RUF012

    def __init__(self, width: int = 3, pretrained: bool = True) -> None:
        self.width, self.pretrained = width, pretrained


class Own(Pretrained):
    def __init__(self, width: int = 3) -> None:
        super().__init__(width)


class Star(Rebuildable):
    def __init__(self, *channels: int) -> None:
        self.channels = channels


def test_what_is_built_with_other_arguments_is_for_those_that_have_them() -> None:
    assert not rebuild(describe(Pretrained(5)), Pretrained).pretrained
    assert rebuild(describe(Own(5)), Own).width == 5


def test_arguments_without_names_are_not_known() -> None:
    assert Star(1, 2).channels == (1, 2)
    assert describe(Star(1, 2)) is None
