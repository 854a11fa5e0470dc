"""The long short-term memory cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.initializers import glorot_uniform, orthogonal, per_gate
from lstm_jax.config import register

GATE_ORDER = "ifgo"  # input, forget, candidate, output: of every kernel and bias in this library


class LSTMCarry(NamedTuple):
    """The memory of an LSTM.

    Attributes:
      cell: what the gates protect, [..., hidden].
      hidden: what the cell shows of it, and its output, [..., hidden].
    """

    cell: Array
    hidden: Array


@register("cell")
def lstm(hidden_size: int, *, forget_bias: float = 1.0) -> Cell:
    """Long short-term memory with a forget gate.

        i, f, o = sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
        c' = f * c + i * g                      h' = o * tanh(c')

    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997;
    the forget gate is that of F. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget",
    2000. One bias serves both products; gates stand in the order i f g o.

    Params: `kernel` [input, 4 * hidden], `recurrent_kernel` [hidden, 4 * hidden],
    `bias` [4 * hidden].

    >>> cell = lstm(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.cell.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of memory cells.
      forget_bias: initial bias of the forget gate; 1 keeps memories from the start
        (R. Jozefowicz, W. Zaremba and I. Sutskever, 2015).

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be at least 1, got {hidden_size}")

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        bias_ifgo = jnp.zeros((4, hidden_size)).at[GATE_ORDER.index("f")].set(forget_bias)
        return {
            "kernel": per_gate(glorot_uniform, 4)(kernel_key, (input_size, 4 * hidden_size)),
            "recurrent_kernel": per_gate(orthogonal, 4)(
                recurrent_key, (hidden_size, 4 * hidden_size)
            ),
            "bias": bias_ifgo.reshape(-1),
        }

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> LSTMCarry:
        zeros = jnp.zeros((*batch_shape, hidden_size), params["recurrent_kernel"].dtype)
        return LSTMCarry(cell=zeros, hidden=zeros)

    return gated_cell(
        init=init,
        initial_carry=initial_carry,
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=_update,
        output_size=hidden_size,
    )


def _update(params: Params, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    del params
    i, f, g, o = jnp.split(z + r, 4, axis=-1)
    cell = jax.nn.sigmoid(f) * carry.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return LSTMCarry(cell, hidden), hidden
