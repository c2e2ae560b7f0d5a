import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgad_lightning.data.run_lengths import decode_runs, encode_runs


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.sampled_from([0, 1, 4, 255])))
def test_runs_keep_everything(label: np.ndarray) -> None:
    assert np.array_equal(decode_runs(encode_runs(label), label.shape), label)


@given(content=st.binary(max_size=60))
def test_random_bytes_are_refused(content: bytes) -> None:
    for record in (content, zlib.compress(content)):
        with pytest.raises((ValueError, zlib.error)):
            decode_runs(record, (36, 80))
