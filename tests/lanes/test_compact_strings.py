import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.lanes.compact_strings import Strings


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_holds_what_it_was_given(strings: list[str]) -> None:
    kept = Strings(strings)
    assert list(kept) == strings
    assert kept[-2:] == strings[-2:]
    assert list(pickle.loads(pickle.dumps(kept))) == strings


@pytest.mark.parametrize("index", [2, -3])
def test_refuses_an_index_outside(index: int) -> None:
    with pytest.raises(IndexError):
        Strings(["a", "b"])[index]


def test_counts_from_the_end() -> None:
    assert Strings(["a", "b"])[-1] == "b"


def test_any_string_is_kept() -> None:
    names = ["\udce4.jpg", "\ud800", "ä", ""]
    assert list(Strings(names)) == names
