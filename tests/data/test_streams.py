"""Streams: contiguous, complete, each symbol predicted once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.streams import RandomWindows, StreamWindows
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


def _random(length, rows, window, seed=0):
    ids = np.arange(length, dtype=np.int32)
    return RandomWindows(Encoded(ids, np.full(length, 2, np.int32)), rows, window, seed)


@given(
    length=st.integers(2, 300),
    rows=st.integers(1, 5),
    window=st.integers(1, 40),
    epoch=st.integers(0, 9),
)
def test_random_windows_predict_every_symbol_once(length, rows, window, epoch):
    batches = _random(length, rows, window)
    windows = [batches.at(epoch, i) for i in range(len(batches))]
    for name, expected in (("inputs", range(length - 1)), ("targets", range(1, length))):
        found = [w[name][row][w["mask"][row]] for row in range(rows) for w in windows]
        np.testing.assert_array_equal(np.concatenate(found), expected)
    # What is valid comes first in every row, so that a length tells it.
    assert all((np.diff(w["mask"].astype(int), axis=1) <= 0).all() for w in windows)
    assert [bool(w["start"]) for w in windows] == [True] + [False] * (len(windows) - 1)
    assert len({w["inputs"].shape for w in windows}) == 1


def test_random_windows_are_those_of_the_paper():
    batches = _random(200_001, 4, 70)
    lengths = np.array([batches.at(0, i)["mask"].sum(1).max() for i in range(len(batches))])
    near_half = lengths < 52
    assert 0.03 < near_half.mean() < 0.07  # 733 windows: a standard error of 0.008
    assert abs(lengths[~near_half].mean() - 70) < 0.8
    assert 4 < lengths[~near_half].std() < 5.5
    assert abs(lengths[near_half].mean() - 35) < 3


def test_random_windows_depend_on_seed_and_epoch_alone():
    def lengths(seed, epoch):
        batches = _random(5000, 2, 20, seed)
        return [int(batches.at(epoch, i)["mask"][0].sum()) for i in range(len(batches))]

    assert lengths(0, 3) == lengths(0, 3)
    assert lengths(0, 3) != lengths(0, 4)
    assert lengths(0, 3) != lengths(1, 3)
