"""Rows of joined records: each record once an epoch, other rows in every epoch, no one cut."""

import numpy as np

from lstm_jax.data.joined_batches import JoinedBatches

LENGTHS = np.random.default_rng(0).integers(1, 30, 41)


def _join(rows):
    return {
        "ids": np.concatenate([np.full(LENGTHS[row], row + 1) for row in rows]),
        "numbers": np.array(rows) + 1,
    }


def _batches(seed=0):
    return JoinedBatches(LENGTHS, _join, most=3, batch_size=4, buckets=3, seed=seed)


def _epoch(batches, epoch):
    return [batches.at(epoch, index) for index in range(len(batches))]


def _rows(epoch):
    return [tuple(row[row > 0]) for batch in epoch for row in batch["numbers"] if row.any()]


def test_each_record_comes_once_an_epoch_in_rows_that_are_drawn_anew():
    batches = _batches()
    first, second = _rows(_epoch(batches, 0)), _rows(_epoch(batches, 1))
    for rows in (first, second):
        assert sorted(record for row in rows for record in row) == list(range(1, 42))
        assert sorted(map(len, rows)) == sorted([1, 2, 3] * 6 + [1, 2, 2])
    assert set(first) != set(second)
    assert _rows(_epoch(_batches(seed=1), 0)) != first


def test_an_epoch_is_a_function_of_its_number():
    batches, other = _batches(), _batches()
    _epoch(batches, 0)
    for one, two in zip(_epoch(batches, 5), _epoch(other, 5), strict=True):
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_rows_are_whole_and_padded_to_a_bound():
    batches = _batches()
    for epoch in range(4):
        for batch in _epoch(batches, epoch):
            assert batch["ids"].shape[1] in batches.bounds
            for ids, length, numbers, valid in zip(
                batch["ids"], batch["ids_lengths"], batch["numbers"], batch["valid"], strict=True
            ):
                wanted = np.repeat(numbers, LENGTHS[numbers - 1] * (numbers > 0))
                assert valid == numbers.any()
                assert length == len(wanted)
                np.testing.assert_array_equal(ids[:length], wanted)
                assert not ids[length:].any()
