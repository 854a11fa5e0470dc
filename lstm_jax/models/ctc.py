"""Connectionist temporal classification: the loss, and the best path.

A. Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with
Recurrent Neural Networks", 2006. Symbol 0 is the blank. The search with a language model is in
`lstm_jax.models.ctc_search`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.cells import Array

BLANK = 0


class Path(NamedTuple):
    """The likeliest symbol of every step, without what repeats and without blanks.

    Attributes:
      symbols: what is left at the steps it is left at, blanks elsewhere [batch, steps].
      log_probabilities: of the whole path, repeats and blanks counted [batch].
    """

    symbols: Array
    log_probabilities: Array


def ctc_loss(logits: Array, steps: Array, labels: Array, label_lengths: Array) -> Array:
    """The negative log-probability of every sequence of labels, in nats [batch].

        -log p(y | x) = -log sum over the paths that collapse to y of prod_t softmax(logits[t])

    where a path collapses by taking out what repeats, then the blanks. A sequence with more labels
    (and blanks needed between equal ones) than steps is impossible, and costs some 1e5.

    >>> logits = jnp.log(jnp.array([[[0.4, 0.6], [0.5, 0.5]]]))
    >>> nats = ctc_loss(logits, jnp.array([2]), jnp.array([[1, 0]]), jnp.array([1]))
    >>> round(float(jnp.exp(-nats[0])), 3)  # 1 - 0.4 * 0.5: all but two blanks
    0.8

    Args:
      logits: [batch, steps, symbols]; the first symbol is the blank.
      steps: how many of them are valid [batch].
      labels: [batch, labels], none of them the blank.
      label_lengths: how many of them are valid [batch].
    """
    padded = jnp.arange(logits.shape[1]) >= steps[:, None]
    absent = jnp.arange(labels.shape[1]) >= label_lengths[:, None]
    kind = logits.dtype
    return optax.ctc_loss(logits, padded.astype(kind), labels, absent.astype(kind), blank_id=BLANK)


def needed_steps(labels: np.ndarray) -> int:
    """How many steps a sequence of labels needs at least: a blank parts equal neighbours.

    >>> needed_steps(np.array([3, 3, 5]))
    4
    """
    return len(labels) + int(np.count_nonzero(labels[1:] == labels[:-1]))


def best_path(log_p: Array, steps: Array) -> Path:
    """Greedy decoding: what the likeliest path collapses to.

    >>> p = jnp.array([[[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]])
    >>> best_path(jnp.log(p), jnp.array([4])).symbols.tolist()
    [[1, 0, 0, 1]]

    Args:
      log_p: log-probabilities [batch, steps, symbols].
      steps: how many steps are valid [batch].
    """
    valid = jnp.arange(log_p.shape[1]) < steps[:, None]
    likeliest = jnp.where(valid, jnp.argmax(log_p, axis=-1), BLANK)
    before = jnp.pad(likeliest, ((0, 0), (1, 0)))[:, :-1]
    total = jnp.sum(jnp.where(valid, jnp.max(log_p, axis=-1), 0), axis=-1)
    return Path(jnp.where(likeliest == before, BLANK, likeliest), total)
