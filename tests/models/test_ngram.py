"""The n-gram against a plain count, and as a probability."""

import collections
import math

import numpy as np
import pytest

from lstm_jax.models.ngram import cross_entropy


def plain(train, test, size, order):
    """The same estimate with dictionaries, one symbol at a time."""
    grams = [tuple(train[i : i + order]) for i in range(len(train) - order + 1)]
    counts = {order: collections.Counter(grams)}
    for n in range(order - 1, 0, -1):
        longer = {tuple(train[i : i + n + 1]) for i in range(len(train) - n)}
        counts[n] = collections.Counter(gram[1:] for gram in longer)
        for i in range(len(train) - n + 1):
            counts[n].setdefault(tuple(train[i : i + n]), 0)
    bits = 0.0
    for i in range(1, len(test)):
        p = 1 / size
        for n in range(1, min(order, i + 1) + 1):
            history, symbol = tuple(test[i - n + 1 : i]), test[i]
            after = {g[-1]: c for g, c in counts[n].items() if g[:-1] == history}
            total = sum(after.values())
            if not total:
                continue
            once = sum(c == 1 for c in counts[n].values())
            twice = sum(c == 2 for c in counts[n].values())
            d = once / (once + 2 * twice) if once else 0.5
            kinds = sum(c > 0 for c in after.values())
            p = max(after.get(symbol, 0) - d, 0) / total + d * kinds / total * p
        bits -= math.log2(p)
    return bits


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_equals_a_plain_count(order):
    rng = np.random.default_rng(order)
    train, test = rng.integers(0, 4, 80), rng.integers(0, 5, 40)
    expected = plain(train.tolist(), test.tolist(), 6, order)
    assert cross_entropy(train, test, 6, order) == pytest.approx(expected, rel=1e-9)


def test_probabilities_sum_to_one():
    train = np.random.default_rng(0).integers(1, 4, 60)
    history = [1, 2, 3]
    before = cross_entropy(train, np.array(history), 5, 3)
    bits = [cross_entropy(train, np.array([*history, w]), 5, 3) - before for w in range(5)]
    assert sum(2**-b for b in bits) == pytest.approx(1.0)
