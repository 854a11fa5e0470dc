"""The convolutional LSTM: memories that lie in space."""

import math
from typing import Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.convolution import convolve
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import gate_kernels
from lstm_jax.cells.lstm import GATE_ORDER, LSTMCarry, fast_update
from lstm_jax.config import PositiveInt, register


@register("cell")
def conv_lstm(
    hidden_size: int,
    *,
    dimensions: Literal[1, 2, 3] = 2,
    kernel_size: PositiveInt = 3,
    forget_bias: float = 1.0,
    peepholes: bool = False,
) -> Cell:
    """Convolutional LSTM: an LSTM at every place, that sees its neighbours.

        i, f = sigmoid(W * x + U * h + p c + b)         g = tanh(W * x + U * h + b)
        c' = f c + i g                                  h' = o tanh(c')
        o = sigmoid(W * x + U * h + p c' + b)

    where `*` is a convolution that keeps the size of the space (zeros beyond its border), and p
    is 0 unless `peepholes`. X. Shi et al., "Convolutional LSTM Network: A Machine Learning
    Approach for Precipitation Nowcasting", 2015 (arXiv:1506.04214). There p has a weight for
    each place; here it has one a channel, the same at all places, so that the cell runs on
    spaces of any size. Gates stand in the order i f g o.

    Inputs are [..., *space, channels], carries and outputs [..., *space, hidden]; the shape that
    `initial_carry` gets is that of the input without its last axis, space included.

    Params: `kernel` [kernel_size, ..., channels, 4 * hidden], `recurrent_kernel`
    [kernel_size, ..., hidden, 4 * hidden], `bias` [4 * hidden], and `peephole_kernel`
    [3 * hidden] (i f o) if `peepholes`.

    >>> cell = conv_lstm(hidden_size=3, dimensions=2)
    >>> params = cell.init(jax.random.key(0), input_size=1)
    >>> carry = cell.initial_carry(params, (5, 8, 6))
    >>> carry, y = cell.step(params, carry, jnp.ones((5, 8, 6, 1)))
    >>> carry.cell.shape, y.shape
    ((5, 8, 6, 3), (5, 8, 6, 3))

    Args:
      hidden_size: number of memory cells at every place.
      dimensions: how many axes the space has.
      kernel_size: width of both convolutions along every axis of the space.
      forget_bias: initial bias of the forget gate.
      peepholes: let the gates see the memory cell of their own place and channel; the weights
        start at 0.

    Raises:
      ValueError: a size is not positive, `dimensions` is not 1, 2 or 3, or an input has too few
        axes.
    """
    require_sizes(hidden_size=hidden_size, kernel_size=kernel_size)
    if dimensions not in (1, 2, 3):
        raise ValueError(f"dimensions must be 1, 2 or 3, got {dimensions}")
    window = (kernel_size,) * dimensions

    def init(key: Array, input_size: int) -> Params:
        keys = jax.random.split(key)
        bias_ifgo = jnp.zeros((4, hidden_size)).at[GATE_ORDER.index("f")].set(forget_bias)
        params = gate_kernels(keys, input_size, hidden_size, 4, window=window)
        params["bias"] = bias_ifgo.reshape(-1)
        return params | ({"peephole_kernel": jnp.zeros(3 * hidden_size)} if peepholes else {})

    cell = gated_cell(
        init=init,
        initial_carry=zero_carry(LSTMCarry, hidden_size),
        project=lambda params, x: _convolve(x, params["kernel"]) + params["bias"],
        recur=lambda params, carry: _convolve(carry.hidden, params["recurrent_kernel"]),
        update=_update,
        output_size=hidden_size,
        fast_update=None if peepholes else fast_update,
    )
    return cell._replace(input_axes=dimensions + 1, kind=None if peepholes else "conv_lstm")


def _update(params: Params, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    i, f, g, o = jnp.split(z + r, 4, axis=-1)
    if "peephole_kernel" in params:
        p_i, p_f, _ = jnp.split(params["peephole_kernel"], 3)
        i, f = i + p_i * carry.cell, f + p_f * carry.cell
    cell = jax.nn.sigmoid(f) * carry.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    if "peephole_kernel" in params:
        o = o + jnp.split(params["peephole_kernel"], 3)[2] * cell
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return LSTMCarry(cell, hidden), hidden


def _convolve(x: Array, kernel: Array) -> Array:
    """Convolves [..., *space, channels] over its space, whatever the leading axes."""
    dimensions = kernel.ndim - 2
    x = jnp.asarray(x)
    if x.ndim <= dimensions:
        raise ValueError(
            f"inputs must be [..., *space, channels] with {dimensions} axes of space, "
            f"got shape {x.shape}"
        )
    space = x.shape[-dimensions - 1 : -1]
    dtype = jnp.result_type(x, kernel)  # the convolution, unlike a product, does not promote
    leading = x.shape[:-1]
    batch = math.prod(leading[:-dimensions])
    x, kernel = x.reshape(batch, *space, x.shape[-1]).astype(dtype), kernel.astype(dtype)
    return convolve(x, kernel).reshape(*leading, kernel.shape[-1])
