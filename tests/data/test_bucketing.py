"""Buckets: every record once an epoch, an order that is a function of seed and epoch."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_jax.data.bucketing import BucketedBatches, best_bounds, cut, cut_note, longest_of


def make(lengths, **options):
    sequences = [np.full(n, i + 1, np.int32) for i, n in enumerate(lengths)]
    values = {"label": np.arange(len(lengths), dtype=np.int32)}
    return BucketedBatches({"ids": sequences}, values, **{"batch_size": 3, **options})


lengths_of_records = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@given(lengths=lengths_of_records, seed=st.one_of(st.none(), st.integers(0, 9)))
def test_every_record_comes_once_an_epoch_and_whole(lengths, seed):
    batches = make(lengths, bounds=(5, 17, 40), seed=seed)
    for epoch in (0, 3):
        seen = []
        for i in range(len(batches)):
            batch = batches.at(epoch, i)
            assert batch["ids"].shape[0] == 3
            assert batch["ids"].shape[1] in (5, 17, 40)
            for row in np.flatnonzero(batch["valid"]):
                record, length = batch["rows"][row], batch["ids_lengths"][row]
                expected = np.zeros(batch["ids"].shape[1])
                expected[: lengths[record]] = record + 1
                np.testing.assert_array_equal(batch["ids"][row], expected)
                assert (length, batch["label"][row]) == (lengths[record], record)
                seen.append(record)
            assert not batch["ids"][~batch["valid"]].any()
        assert sorted(seen) == list(range(len(lengths)))


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = list(np.random.default_rng(0).integers(1, 30, 50))

    def order(batches, epoch):
        return [batches.at(epoch, i)["rows"].tolist() for i in range(len(batches))]

    one, two = make(lengths, bounds=(10, 30), seed=1), make(lengths, bounds=(10, 30), seed=1)
    last_first = order(one, 5), order(one, 0)
    assert (order(two, 5), order(two, 0)) == last_first
    assert order(one, 0) != order(one, 1)
    assert order(one, 0) != order(make(lengths, bounds=(10, 30), seed=2), 0)
    unmoved = make(lengths, bounds=(10, 30))
    assert order(unmoved, 0) == order(unmoved, 7)
    assert one.fingerprint() == two.fingerprint() != unmoved.fingerprint()
    lengths[0] += 1
    assert make(lengths, bounds=(10, 30), seed=1).fingerprint() != one.fingerprint()


def test_two_sequences_share_a_bucket():
    source = [np.ones(n, np.int32) for n in (2, 9)]
    target = [np.ones(n, np.int32) for n in (4, 1)]
    batches = BucketedBatches(
        {"source": source, "target": target}, {}, batch_size=1, bounds=(3, 5, 9)
    )
    shapes = [(b["source"].shape[1], b["target"].shape[1]) for b in (batches[0], batches[1])]
    assert shapes == [(5, 5), (9, 9)]
    assert batches.mean_tokens == (2 + 9 + 4 + 1) / 2
    assert batches.padding == pytest.approx(1 - 16 / 28)
    assert longest_of({"source": source, "target": target}).tolist() == [4, 9]


def test_what_is_too_long_is_refused_not_cut():
    with pytest.raises(ValueError, match="a sequence of 11 is longer than 10"):
        make([3, 11], bounds=(5, 10))


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12), count=st.integers(1, 4))
def test_bounds_are_the_best_there_are(lengths, count):
    lengths = np.array(lengths)

    def padded(bounds):
        return np.sum(np.array(sorted(bounds))[np.searchsorted(sorted(bounds), lengths)])

    choices = [
        bounds
        for size in range(1, count + 1)
        for bounds in itertools.combinations(range(1, 13), size)
        if max(bounds) >= lengths.max()
    ]
    found = best_bounds(lengths, count, multiple=1)
    assert len(found) <= count
    assert padded(found) == min(padded(bounds) for bounds in choices)


def test_bounds_are_few_however_long_the_records():
    lengths = np.random.default_rng(0).integers(1, 100_000, 1000)
    bounds = best_bounds(lengths, 6)
    assert len(bounds) == 6
    assert bounds[-1] >= lengths.max()


@given(length=st.integers(1, 30), most=st.integers(1, 20))
def test_a_cut_keeps_the_part_it_says(length, most):
    sequence = np.arange(length)
    kept = {keep: cut([sequence], most, keep)[0].tolist() for keep in ("start", "end", "both")}
    n = min(length, most)
    assert kept["start"] == list(range(n))
    assert kept["end"] == list(range(length - n, length))
    assert len(kept["both"]) == n
    assert kept["both"] == sorted(set(kept["both"]))
    if n > 1:
        assert {0, length - 1} <= set(kept["both"])


def test_what_is_cut_is_told():
    before = [np.arange(4), np.arange(10), np.arange(6)]
    after = cut(before, 5, "end")
    assert cut_note("train", before, after, 5) == [
        "train: 2 of 3 texts are longer than 5 symbols and were cut, "
        "which leaves out 30.0% of all symbols"
    ]
    assert cut_note("train", before, cut(before, None, "end"), None) == []
