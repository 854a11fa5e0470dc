"""Forced alignment: at which steps of CTC's outputs the symbols of a known text are heard."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.ctc import BLANK

_NEVER = -1e30  # log-probability of what cannot be; two of them have a sum


class Alignment(NamedTuple):
    """Where each label stands on the likeliest path that collapses to all of them.

    Attributes:
      first: step at which each begins [batch, labels].
      last: step at which it was for the last time; a blank or the next label is behind it.
      log_probabilities: of that path [batch].
    """

    first: Array
    last: Array
    log_probabilities: Array


def align(log_p: Array, steps: Array, labels: Array, label_lengths: Array) -> Alignment:
    """The likeliest path of known labels, by the algorithm of Viterbi, which sums nothing.

        max over the paths that collapse to y of sum_t log p[t, path[t]]

    Its states are the labels with a blank before, between and behind them, as in A. Graves et al.,
    "Connectionist Temporal Classification", 2006, section 4.1. What stands behind the end of a
    recording or of its labels is not read; positions there mean nothing.

    >>> p = jnp.array([[[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]])
    >>> found = align(jnp.log(p), jnp.array([4]), jnp.array([[1, 2]]), jnp.array([2]))
    >>> found.first.tolist(), found.last.tolist(), round(float(found.log_probabilities[0]), 2)
    ([[0, 3]], [[1, 3]], -1.03)

    Args:
      log_p: log-probabilities [batch, steps, symbols]; the first symbol is the blank.
      steps: how many steps are valid [batch].
      labels: [batch, labels], none of them the blank.
      label_lengths: how many of them are valid [batch].
    """
    batch, count = labels.shape
    symbols = jnp.full((batch, 2 * count + 1), BLANK).at[:, 1::2].set(labels)
    # A label may follow the one before it at once unless they are alike.
    differs = jnp.pad(labels[:, 1:] != labels[:, :-1], ((0, 0), (1, 0)))
    skips = jnp.zeros(symbols.shape, bool).at[:, 1::2].set(differs)
    heard = jnp.take_along_axis(log_p, symbols[:, None], axis=2)
    valid = jnp.arange(log_p.shape[1]) < steps[:, None]

    def advance(best: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        heard_now, valid_now = inputs
        skipped = jnp.where(skips, _shifted(best, 2), _NEVER)
        before = jnp.stack([best, _shifted(best, 1), skipped])
        origin = jnp.where(valid_now[:, None], jnp.argmax(before, axis=0), 0)
        gone_on = jnp.max(before, axis=0) + heard_now
        return jnp.where(valid_now[:, None], gone_on, best), origin

    # At the first step a path is at the first blank or the first label.
    begin = jnp.full(symbols.shape, _NEVER).at[:, :2].set(heard[:, 0, :2])
    inputs = jnp.swapaxes(heard[:, 1:], 0, 1), valid[:, 1:].T
    best, origins = jax.lax.scan(advance, begin, inputs)
    ends = jnp.stack([2 * label_lengths, jnp.maximum(2 * label_lengths - 1, 0)], axis=1)
    scores = jnp.take_along_axis(best, ends, axis=1)
    state = jnp.take_along_axis(ends, jnp.argmax(scores, axis=1)[:, None], axis=1)[:, 0]

    def go_back(state: Array, origin: Array) -> tuple[Array, Array]:
        return state - jnp.take_along_axis(origin, state[:, None], axis=1)[:, 0], state

    state, path = jax.lax.scan(go_back, state, origins, reverse=True)
    path = jnp.concatenate([state[None], path])  # [steps, batch]
    own = (path[..., None] == 2 * jnp.arange(count) + 1) & valid.T[..., None]
    last = log_p.shape[1] - 1 - jnp.argmax(own[::-1], axis=0)
    return Alignment(jnp.argmax(own, axis=0), last, jnp.max(scores, axis=1))


def _shifted(best: Array, by: int) -> Array:
    """What each state has from the one so many before it."""
    return jnp.pad(best, ((0, 0), (by, 0)), constant_values=_NEVER)[:, : best.shape[1]]
