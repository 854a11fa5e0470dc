"""Beam search: greedy with a beam of one, exhaustive with one that holds all."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.beam_search import beam_search

SYMBOLS, LENGTH, SOURCE = 4, 4, 3  # END is symbol 3, BEGIN is 0
BEGIN, END = 0, 3


def tables(seed, batch):
    """Of each source: log-probabilities and attention after every two last symbols."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(batch, SYMBOLS, SYMBOLS, SYMBOLS))
    logits[..., BEGIN] = -1e9  # so that the rest sums to one
    weights = random.dirichlet(np.ones(SOURCE), (batch, SYMBOLS, SYMBOLS))
    return jnp.asarray(jax.nn.log_softmax(logits)), jnp.asarray(weights, jnp.float32)


@functools.partial(jax.jit, static_argnames=("beam_size", "length", "never"))
def search(log_p, weights, beam_size, length=LENGTH, limits=None, mask=None, **options):
    batch = len(log_p)
    rows = jnp.arange(batch)[:, None]

    def step(before, last):
        return last, log_p[rows, before, last], weights[rows, before, last]

    return beam_search(
        step,
        jnp.zeros((batch, beam_size), jnp.int32),
        jnp.ones((batch, SOURCE), bool) if mask is None else mask,
        jnp.full(batch, length) if limits is None else limits,
        length=length, beam_size=beam_size, begin=BEGIN, end=END, **options,
    )  # fmt: skip


def all_sequences(length=LENGTH):
    for n in range(length):
        for beginning in itertools.product((1, 2), repeat=n):
            yield (*beginning, END)


def score(log_p, weights, sequence, alpha=0.0, beta=0.0):
    total, covered, before, last = 0.0, np.zeros(SOURCE), 0, BEGIN
    for symbol in sequence:
        total += float(log_p[before, last, symbol])
        covered += np.asarray(weights[before, last])
        before, last = last, symbol
    uncovered = np.log(np.minimum(covered, 1)).sum()
    return total / ((5 + len(sequence)) / 6) ** alpha + beta * uncovered


def tokens(found, i):
    return tuple(int(t) for t in found.tokens[i, : found.lengths[i] + 1])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_a_beam_that_holds_everything_finds_the_best_of_all(alpha, beta):
    log_p, weights = tables(0, 20)
    found = search(log_p, weights, 32, length_penalty=alpha, coverage_penalty=beta)
    lengths = set()
    for i in range(20):
        scored = {s: score(log_p[i], weights[i], s, alpha, beta) for s in all_sequences()}
        best = max(scored, key=scored.__getitem__)
        assert tokens(found, i) == best
        assert float(found.scores[i]) == pytest.approx(scored[best], rel=1e-4)
        assert float(found.log_probabilities[i]) == pytest.approx(
            score(log_p[i], weights[i], best), rel=1e-4
        )
        lengths.add(len(best))
    assert len(lengths) > 1


def test_a_beam_of_one_is_greedy():
    log_p, weights = tables(1, 30)
    found = search(log_p, weights, 1, length=9, length_penalty=0.6)
    for i in range(30):
        before, last, greedy = 0, BEGIN, []
        while last != END:
            best = int(np.argmax(log_p[i, before, last])) if len(greedy) < 8 else END
            before, last = last, best
            greedy.append(best)
        assert tokens(found, i) == tuple(greedy)


def test_a_larger_beam_finds_what_greedy_search_misses():
    log_p, weights = tables(2, 40)
    one, five = (search(log_p, weights, k, length=8).log_probabilities for k in (1, 5))
    assert (five >= one - 1e-5).all()
    assert (five > one + 1e-3).any()


def test_a_source_finds_the_same_alone_and_beside_others():
    log_p, weights = tables(3, 12)
    limits = jnp.array([1, 2, 3, 4, 5, 6] * 2)
    options = {"length_penalty": 0.6, "coverage_penalty": 0.2}
    together = search(log_p, weights, 3, length=6, limits=limits, **options)
    for i in range(12):
        one = slice(i, i + 1)
        alone = search(log_p[one], weights[one], 3, length=8, limits=limits[one], **options)
        assert tokens(alone, 0) == tokens(together, i)
        assert len(tokens(alone, 0)) <= limits[i]


def test_symbols_that_are_not_allowed_do_not_come_up():
    log_p, weights = tables(4, 10)
    found = search(log_p, weights, 3, never=(1,))
    assert not np.isin(found.tokens, (BEGIN, 1)).any()
    assert (search(log_p, weights, 3).tokens == 1).any()


def test_coverage_counts_the_source_alone_and_not_its_padding():
    log_p, weights = tables(5, 1)
    mask = jnp.array([[True, True, False]])
    unseen = weights.at[..., 2].set(0.0)
    found = search(log_p, unseen, 32, mask=mask, coverage_penalty=1.0)
    assert float(found.scores[0]) > -20  # the logarithm of nothing would be far below


def test_a_longer_translation_wins_with_a_larger_length_penalty():
    log_p, weights = tables(6, 40)
    short, long = (
        search(log_p, weights, 8, length=8, length_penalty=alpha).lengths.mean()
        for alpha in (0.0, 2.0)
    )
    assert long > short
