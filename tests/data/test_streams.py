"""Streams: contiguous, complete, each symbol predicted once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.streams import StreamWindows
from lstm_jax.data.vocabulary import Encoded


@given(length=st.integers(2, 200), rows=st.integers(1, 7), window=st.integers(1, 40))
def test_every_symbol_is_predicted_once_from_the_one_before(length, rows, window):
    ids = np.arange(length, dtype=np.int32)
    batches = StreamWindows(Encoded(ids, np.full(length, 2, np.int32)), rows, window)
    windows = [batches[i] for i in range(len(batches))]
    masks = np.concatenate([w["mask"] for w in windows], axis=1)
    inputs = np.concatenate([w["inputs"] for w in windows], axis=1)
    targets = np.concatenate([w["targets"] for w in windows], axis=1)
    # Row after row, the valid part is the text itself.
    np.testing.assert_array_equal(inputs[masks], ids[:-1])
    np.testing.assert_array_equal(targets[masks], ids[1:])
    assert sum(w["characters"].sum() for w in windows) == 2 * (length - 1)
    assert [bool(w["start"]) for w in windows] == [True] + [False] * (len(windows) - 1)
    assert len({w["inputs"].shape for w in windows}) == 1
