"""The gated recurrent unit."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_choices, require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import gate_kernels, torch_uniform
from lstm_jax.config import register

# update, reset, candidate: the order of Keras; torch and cuDNN put reset before update.
GATE_ORDER = "zrh"
INITIALIZERS = ("glorot_orthogonal", "lecun_orthogonal", "torch_uniform")


class GRUCarry(NamedTuple):
    """The memory of a gated unit without a cell of its own.

    Attributes:
      hidden: the state, which is also the output, [..., hidden].
    """

    hidden: Array


@register("cell")
def gru(
    hidden_size: int,
    *,
    reset_after: bool = True,
    initializer: Literal[
        "glorot_orthogonal", "lecun_orthogonal", "torch_uniform"
    ] = "glorot_orthogonal",
) -> Cell:
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
      initializer: of the kernels; glorot and lecun serve the kernel, gate by gate, with an
        orthogonal recurrent kernel; torch_uniform serves the biases too.

    Raises:
      ValueError: `hidden_size` is not positive, or there is no such initializer.
    """
    require_sizes(hidden_size=hidden_size)
    require_choices(INITIALIZERS, initializer=initializer)

    def init(key: Array, input_size: int) -> Params:
        *kernel_keys, bias_key = jax.random.split(key, 3)
        bias = jnp.zeros((2, 3 * hidden_size) if reset_after else 3 * hidden_size)
        if initializer == "torch_uniform":
            bias = torch_uniform(hidden_size)(bias_key, bias.shape)
        kernels = gate_kernels(kernel_keys, input_size, hidden_size, 3, initializer=initializer)
        return kernels | {"bias": bias}

    if not reset_after:
        zeros = zero_carry(GRUCarry, hidden_size)
        return Cell(init, zeros, _step_with_reset_before, hidden_size)
    return gated_cell(
        init=init,
        initial_carry=zero_carry(GRUCarry, hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"][0],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=_update_with_reset_after,
        output_size=hidden_size,
    )


def _update_with_reset_after(
    params: Params, carry: GRUCarry, z: Array, r: Array, candidate_mask: Array | float = 1.0
) -> tuple[GRUCarry, Array]:
    input_z, input_r, input_h = jnp.split(z, 3, axis=-1)
    # The second bias is added here, so that `recur` is linear.
    hidden_z, hidden_r, hidden_h = jnp.split(r + params["bias"][1], 3, axis=-1)
    candidate = jnp.tanh(input_h + jax.nn.sigmoid(input_r + hidden_r) * hidden_h)
    return _blend(carry, jax.nn.sigmoid(input_z + hidden_z), candidate * candidate_mask)


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
