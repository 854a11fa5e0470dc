"""JANET: an LSTM with the forget gate alone."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import chrono_bias, gate_kernels
from lstm_jax.config import Range, register


class JANETCarry(NamedTuple):
    """The memory of JANET.

    Attributes:
      hidden: the memory cell, which is shown as it is, [..., hidden].
    """

    hidden: Array


@register("cell")
def janet(
    hidden_size: int,
    *,
    beta: float = 1.0,
    chrono_max: Annotated[int, Range(2)] | None = None,
) -> Cell:
    """Just another network: an LSTM that has kept of its gates the forget gate.

        s = W x + U h + b                       g = tanh(W x + U h + b)
        h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * g

    J. van der Westhuizen and J. Lasenby, "The unreasonable effectiveness of the forget gate",
    2018 (arXiv:1804.04849). Gates stand in the order f g.

    Params: `kernel` [input, 2 * hidden], `recurrent_kernel` [hidden, 2 * hidden],
    `bias` [2 * hidden].

    >>> cell = janet(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of memory cells.
      beta: by how much more is taken in than is forgotten; at 0 the two are complements.
      chrono_max: longest time between cause and effect, in steps; forget biases then start as
        log(uniform(1, chrono_max - 1)), as in the paper, and otherwise at 1 (arXiv 1804.11188).

    Raises:
      ValueError: `hidden_size` is not positive, or `chrono_max` is below 2.
    """
    require_sizes(hidden_size=hidden_size)
    require_sizes(2, chrono_max=chrono_max)

    def init(key: Array, input_size: int) -> Params:
        *kernel_keys, bias_key = jax.random.split(key, 3)
        forget_bias = jnp.ones(hidden_size)
        if chrono_max is not None:
            forget_bias = chrono_bias(chrono_max)(bias_key, (hidden_size,))
        bias = jnp.concatenate([forget_bias, jnp.zeros(hidden_size)])
        return gate_kernels(kernel_keys, input_size, hidden_size, 2) | {"bias": bias}

    def update(
        params: Params, carry: JANETCarry, z: Array, r: Array, candidate_mask: Array | float = 1.0
    ) -> tuple[JANETCarry, Array]:
        del params
        s, g = jnp.split(z + r, 2, axis=-1)
        # 1 - sigmoid(s - beta), without the cancellation where the gate is nearly closed.
        written = jax.nn.sigmoid(beta - s) * jnp.tanh(g) * candidate_mask
        hidden = jax.nn.sigmoid(s) * carry.hidden + written
        return JANETCarry(hidden), hidden

    return gated_cell(
        init=init,
        initial_carry=zero_carry(JANETCarry, hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=update,
        output_size=hidden_size,
    )
