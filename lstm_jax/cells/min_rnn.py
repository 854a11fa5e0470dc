"""minLSTM and minGRU: recurrent cells whose gates see the input alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import glorot_uniform, per_gate
from lstm_jax.cells.linear_recurrence import blank_masked, linear_recurrence
from lstm_jax.config import register


class MinRNNCarry(NamedTuple):
    """The memory of a minLSTM or minGRU.

    Attributes:
      hidden: the state and output, positive once it has read anything, [..., hidden].
    """

    hidden: Array


@register("cell")
def min_lstm(hidden_size: int, *, forget_bias: float = 0.0) -> Cell:
    """Minimal LSTM: gates that need no state, so that all steps can be computed at once.

        i, f = sigmoid(W x + b)        i' = i / (i + f)        f' = f / (i + f)
        h' = f' * h + i' * g(W x + b)        g(z) = z + 1/2 where z >= 0, else sigmoid(z)

    L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi, "Were RNNs All We Needed?",
    arXiv 2410.01201, 2024. This is the paper's stable version: positive candidates g, and the
    normalised gates as f' = sigmoid(softplus(-i) - softplus(-f)), where no division can fail.
    The paper then sums logarithms; here the scan is in linear space, which is more exact (see
    `linear_recurrence`). The carry is h itself and begins at zero, without memory; the paper's
    listings pass their initial state through g, which from zero makes a carry of 1/2.

    Params: `kernel` [input, 3 * hidden], `bias` [3 * hidden], in the order i f g.

    >>> cell = min_lstm(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry = cell.initial_carry(params, (5,))
    >>> carry, ys = cell.parallel(params, carry, jnp.ones((7, 5, 2)), None, None)
    >>> ys.shape, bool((ys[-1] == carry.hidden).all())
    ((7, 5, 3), True)

    Args:
      hidden_size: number of memory cells.
      forget_bias: initial bias of the forget gate; above 0 keeps memories from the start.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    return _min_rnn(hidden_size, (0.0, forget_bias, 0.0), _min_lstm_terms)


@register("cell")
def min_gru(hidden_size: int, *, update_bias: float = 0.0) -> Cell:
    """Minimal GRU: one gate that needs no state, so that all steps can be computed at once.

        z = sigmoid(W x + b)        h' = (1 - z) * h + z * g(W x + b)
        g(a) = a + 1/2 where a >= 0, else sigmoid(a)

    L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi, "Were RNNs All We Needed?",
    arXiv 2410.01201, 2024; the version with positive candidates g, and as `min_lstm` does it,
    scanned in linear space from a carry of zero.

    Params: `kernel` [input, 2 * hidden], `bias` [2 * hidden], in the order z g.

    >>> cell = min_gru(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, ()), jnp.ones(2))
    >>> y.shape, bool((y > 0).all())
    ((3,), True)

    Args:
      hidden_size: number of memory cells.
      update_bias: initial bias of the update gate; below 0 keeps memories from the start.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    return _min_rnn(hidden_size, (update_bias, 0.0), _min_gru_terms)


def positive(z: Array) -> Array:
    """The candidate activation g of minLSTM and minGRU: positive, continuous and increasing.

    >>> positive(jnp.array([-100.0, 0.0, 2.0])).round(4).tolist()
    [0.0, 0.5, 2.5]
    """
    return jnp.where(z >= 0, z + 0.5, jax.nn.sigmoid(z))


def _min_rnn(
    hidden_size: int, biases: tuple[float, ...], terms: Callable[[Array], tuple[Array, Array]]
) -> Cell:
    """A cell h' = decay * h + increment, where `terms` makes these two of the projection."""
    require_sizes(hidden_size=hidden_size)
    gates = len(biases)

    def init(key: Array, input_size: int) -> Params:
        kernel = per_gate(glorot_uniform, gates)(key, (input_size, gates * hidden_size))
        return {"kernel": kernel, "bias": jnp.repeat(jnp.array(biases), hidden_size)}

    def project(params: Params, x: Array) -> Array:
        return x @ params["kernel"] + params["bias"]

    def step(params: Params, carry: MinRNNCarry, x: Array) -> tuple[MinRNNCarry, Array]:
        decay, increment = terms(project(params, x))
        hidden = decay * carry.hidden + increment
        return MinRNNCarry(hidden), hidden

    def parallel(
        params: Params, carry: MinRNNCarry, xs: Array, mask: Array | None, resets: Array | None
    ) -> tuple[MinRNNCarry, Array]:
        decay, increment = terms(project(params, blank_masked(xs, mask)))
        last, h_tbh = linear_recurrence(decay, increment, carry.hidden, mask=mask, resets=resets)
        return MinRNNCarry(last), blank_masked(h_tbh, mask)

    zeros = zero_carry(MinRNNCarry, hidden_size)
    return Cell(init, zeros, step, hidden_size, parallel=parallel)


def _min_lstm_terms(z: Array) -> tuple[Array, Array]:
    i, f, g = jnp.split(z, 3, axis=-1)
    log_ratio = jax.nn.log_sigmoid(i) - jax.nn.log_sigmoid(f)
    return jax.nn.sigmoid(-log_ratio), jax.nn.sigmoid(log_ratio) * positive(g)


def _min_gru_terms(z: Array) -> tuple[Array, Array]:
    z, g = jnp.split(z, 2, axis=-1)
    return jax.nn.sigmoid(-z), jax.nn.sigmoid(z) * positive(g)
