"""The gated recurrent unit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.initializers import glorot_uniform, orthogonal, per_gate
from lstm_jax.config import register

# update, reset, candidate: the order of Keras; torch and cuDNN put reset before update.
GATE_ORDER = "zrh"


class GRUCarry(NamedTuple):
    """The memory of a gated unit without a cell of its own.

    Attributes:
      hidden: the state, which is also the output, [..., hidden].
    """

    hidden: Array


@register("cell")
def gru(hidden_size: int, *, reset_after: bool = True) -> Cell:
    """Gated recurrent unit.

        z, r = sigmoid(W x + U h + b)           h' = z * h + (1 - z) * g
        g = tanh(W x + b + r * (U h + b'))      with `reset_after`, b' in z and r as well
        g = tanh(W x + b + U (r * h))           without it, and no b'

    K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
    Machine Translation", 2014 (arXiv:1406.1078) is the form without `reset_after`. The form
    with it is that of cuDNN, torch and Keras; its recurrent product waits for no gate, so it is
    the faster one. Gates stand in the order z r h.

    Params: `kernel` [input, 3 * hidden], `recurrent_kernel` [hidden, 3 * hidden], `bias`
    [2, 3 * hidden] (b, then b') with `reset_after` and [3 * hidden] without.

    >>> cell = gru(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.
      reset_after: apply the reset gate after the recurrent product, with a second bias, as torch
        and Keras do; otherwise before it, as first published.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be at least 1, got {hidden_size}")

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        gates = 3 * hidden_size
        return {
            "kernel": per_gate(glorot_uniform, 3)(kernel_key, (input_size, gates)),
            "recurrent_kernel": per_gate(orthogonal, 3)(recurrent_key, (hidden_size, gates)),
            "bias": jnp.zeros((2, gates) if reset_after else gates),
        }

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> GRUCarry:
        return GRUCarry(jnp.zeros((*batch_shape, hidden_size), params["recurrent_kernel"].dtype))

    if not reset_after:
        return Cell(init, initial_carry, _step_with_reset_before, hidden_size)
    return gated_cell(
        init=init,
        initial_carry=initial_carry,
        project=lambda params, x: x @ params["kernel"] + params["bias"][0],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=_update_with_reset_after,
        output_size=hidden_size,
    )


def _update_with_reset_after(
    params: Params, carry: GRUCarry, z: Array, r: Array
) -> tuple[GRUCarry, Array]:
    input_z, input_r, input_h = jnp.split(z, 3, axis=-1)
    # The second bias is added here, so that `recur` is linear.
    hidden_z, hidden_r, hidden_h = jnp.split(r + params["bias"][1], 3, axis=-1)
    candidate = jnp.tanh(input_h + jax.nn.sigmoid(input_r + hidden_r) * hidden_h)
    return _blend(carry, jax.nn.sigmoid(input_z + hidden_z), candidate)


def _step_with_reset_before(params: Params, carry: GRUCarry, x: Array) -> tuple[GRUCarry, Array]:
    size = carry.hidden.shape[-1]
    input_zr, input_h = jnp.split(x @ params["kernel"] + params["bias"], [2 * size], axis=-1)
    kernel_zr, kernel_h = jnp.split(params["recurrent_kernel"], [2 * size], axis=-1)
    update, reset = jnp.split(jax.nn.sigmoid(input_zr + carry.hidden @ kernel_zr), 2, axis=-1)
    candidate = jnp.tanh(input_h + (reset * carry.hidden) @ kernel_h)
    return _blend(carry, update, candidate)


def _blend(carry: GRUCarry, update: Array, candidate: Array) -> tuple[GRUCarry, Array]:
    hidden = update * carry.hidden + (1 - update) * candidate
    return GRUCarry(hidden), hidden
