from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lgad_lightning.export.score import evenly_spread


@given(st.integers(2, 300), st.integers(2, 300))
def test_images_are_chosen_from_the_first_to_the_last(length: int, count: int) -> None:
    chosen = evenly_spread(length, count)
    assert (len(chosen), chosen[0], chosen[-1]) == (min(length, count), 0, length - 1)
    gaps = {after - before for before, after in pairwise(chosen)}
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
