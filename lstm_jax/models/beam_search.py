"""Beam search: the likeliest of many sequences, of any model that goes symbol by symbol."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array

# (state, last symbols [batch, beam]) -> (state, log-probabilities [batch, beam, vocabulary],
# weights of attention [batch, beam, source]); arrays of the state are [batch, beam, ...].
Step = Callable[[Any, Array], tuple[Any, Array, Array]]

_NEVER = -1e30  # a log-probability; minus infinity would make a NaN of 0 * log p
_SEEN = 1e-10  # the least coverage, whose logarithm is finite


class Found(NamedTuple):
    """The best sequence of each source.

    Attributes:
      tokens: its symbols, END among them and all behind it [batch, length].
      lengths: how many symbols come before END [batch].
      scores: what it was chosen by [batch].
      log_probabilities: of the whole sequence with END [batch].
    """

    tokens: Array
    lengths: Array
    scores: Array
    log_probabilities: Array


class _Beam(NamedTuple):
    time: Array
    state: Any
    tokens: Array  # [batch, beam, length]
    log_p: Array  # [batch, beam]
    lengths: Array  # [batch, beam], END counted
    ended: Array  # [batch, beam]
    coverage: Array  # [batch, beam, source]


def beam_search(
    step: Step,
    state: Any,
    source_mask: Array,
    limits: Array,
    *,
    length: int,
    beam_size: int,
    begin: int,
    end: int,
    never: Sequence[int] = (),
    length_penalty: float | Array = 0.0,
    coverage_penalty: float | Array = 0.0,
) -> Found:
    """Searches with the `beam_size` best beginnings of each source.

        score = log p(y) / lp + cp,  lp = ((5 + |y|) / 6)^alpha,
        cp = beta * sum over the source of log min(1, sum over the steps of attention)

    Y. Wu et al., "Google's Neural Machine Translation System", arXiv 1609.08144, section 7; |y|
    counts END. At every step the best continuations by `log p / lp` are kept; a sequence that ended
    keeps its place among them. The search of a source is over when no sequence that goes on could
    still beat one that ended. One beginning is greedy search; as many as there are, exhaustive.
    A source's result does not depend on what it is searched beside.

    >>> chain = jnp.log(jnp.array([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.0, 0.0, 1.0]]) + 1e-9)
    >>> def step(state, last):
    ...     return state, chain[last], jnp.ones((*last.shape, 1))
    >>> mask, limits = jnp.ones((1, 1), bool), jnp.array([4])
    >>> found = beam_search(step, (), mask, limits, length=4, beam_size=2, begin=0, end=2)
    >>> found.tokens.tolist(), round(float(jnp.exp(found.scores[0])), 2)
    ([[2, 2, 2, 2]], 0.3)

    Args:
      step: the model.
      state: its state before the first symbol, arrays [batch, beam, ...], the same in all places
        of the beam.
      source_mask: where the source is [batch, source].
      limits: the most symbols of each sequence, END counted [batch]; at least one.
      length: the most of all sequences, which is the length of the loop.
      beam_size: how many beginnings are kept.
      begin: the symbol before the first.
      end: the symbol behind the last.
      never: symbols that are not part of any sequence.
      length_penalty: alpha; 0 prefers short sequences, 1 hardly.
      coverage_penalty: beta; 0 for none.
    """
    batch, source = source_mask.shape
    shape = batch, beam_size
    beam = _Beam(
        jnp.int32(0),
        state,
        jnp.full((*shape, length), end, jnp.int32),
        # The places of the beam begin alike: only one of them counts.
        jnp.where(jnp.arange(beam_size) == 0, jnp.zeros(shape), _NEVER),
        jnp.zeros(shape, jnp.int32),
        jnp.zeros(shape, bool),
        jnp.zeros((*shape, source)),
    )
    banned = jnp.asarray([begin, *never])

    def final_scores(beam: _Beam) -> Array:
        covered = jnp.log(jnp.clip(beam.coverage, _SEEN, 1.0))
        uncovered = jnp.sum(jnp.where(source_mask[:, None], covered, 0), axis=-1)
        return beam.log_p / _penalty(beam.lengths, length_penalty) + coverage_penalty * uncovered

    def is_open(beam: _Beam) -> Array:
        alive = ~beam.ended & (beam.log_p > _NEVER / 2)
        best_end = jnp.max(jnp.where(beam.ended, final_scores(beam), _NEVER), axis=1)
        # What goes on loses probability, and at best is divided by the largest penalty.
        bound = beam.log_p / _penalty(limits, length_penalty)[:, None]
        return jnp.any(alive & (bound > best_end[:, None]), axis=1)

    def go_on(beam: _Beam) -> Array:
        return (beam.time < length) & jnp.any(is_open(beam))

    def advance(beam: _Beam) -> _Beam:
        last = jnp.where(beam.time == 0, begin, beam.tokens[:, :, beam.time - 1])
        state, log_p, weights = step(beam.state, last)
        log_p = log_p.at[:, :, banned].set(_NEVER)
        must_end = (beam.time + 1 >= limits)[:, None, None]
        is_end = jnp.arange(log_p.shape[-1]) == end
        log_p = jnp.where(must_end & ~is_end, _NEVER, log_p)
        alive_weights = jnp.where(beam.ended[:, :, None], 0, weights)
        beam = beam._replace(state=state, coverage=beam.coverage + alive_weights)
        return _select(beam, log_p, length_penalty, end)

    beam = jax.lax.while_loop(go_on, advance, beam)
    scores = jnp.where(beam.ended, final_scores(beam), _NEVER)
    best = jnp.argmax(scores, axis=1)

    def of_best(leaf: Array) -> Array:
        return leaf[jnp.arange(batch), best]

    lengths = of_best(beam.lengths) - 1
    return Found(of_best(beam.tokens), lengths, of_best(scores), of_best(beam.log_p))


def _select(beam: _Beam, log_p: Array, length_penalty: Any, end: int) -> _Beam:
    """The best beginnings one symbol on; what ended is its own only continuation."""
    batch, size, vocabulary = log_p.shape
    # The best of all are among the best of each.
    each = min(size, vocabulary)
    found, symbols = jax.lax.top_k(log_p, each)
    found = jnp.maximum(found + beam.log_p[:, :, None], _NEVER)
    first = jnp.arange(each) == 0
    stays = jnp.where(first, beam.log_p[:, :, None], _NEVER)
    found = jnp.where(beam.ended[:, :, None], stays, found)
    symbols = jnp.where(beam.ended[:, :, None], end, symbols)
    lengths = jnp.where(beam.ended, beam.lengths, beam.time + 1)
    ranks = found / _penalty(lengths, length_penalty)[:, :, None]
    _, chosen = jax.lax.top_k(ranks.reshape(batch, size * each), size)
    rows = jnp.arange(batch)[:, None]
    parents = chosen // each

    def follow(leaf: Array) -> Array:
        return leaf[rows, parents]

    symbols = symbols.reshape(batch, -1)[rows, chosen].astype(jnp.int32)
    return _Beam(
        beam.time + 1,
        jax.tree.map(follow, beam.state),
        follow(beam.tokens).at[:, :, beam.time].set(symbols),
        found.reshape(batch, -1)[rows, chosen],
        follow(lengths),
        symbols == end,
        follow(beam.coverage),
    )


def _penalty(lengths: Array, alpha: float | Array) -> Array:
    return ((5.0 + lengths) / 6.0) ** alpha
