"""JANET: an LSTM with the forget gate alone."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.initializers import chrono_bias, glorot_uniform, orthogonal, per_gate
from lstm_jax.config import Range, register

GATE_ORDER = "fg"  # forget, candidate


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
    longest_dependency: Annotated[int, Range(2)] | None = None,
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
      longest_dependency: T of chrono initialisation (C. Tallec and Y. Ollivier, 2018), which the
        paper uses: forget biases start as log(uniform(1, T - 1)). Without it they start at 1.

    Raises:
      ValueError: `hidden_size` is not positive, or `longest_dependency` is below 2.
    """
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be at least 1, got {hidden_size}")
    if longest_dependency is not None and longest_dependency < 2:
        raise ValueError(f"longest_dependency must be at least 2, got {longest_dependency}")

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key, bias_key = jax.random.split(key, 3)
        forget_bias = jnp.ones(hidden_size)
        if longest_dependency is not None:
            forget_bias = chrono_bias(longest_dependency)(bias_key, (hidden_size,))
        return {
            "kernel": per_gate(glorot_uniform, 2)(kernel_key, (input_size, 2 * hidden_size)),
            "recurrent_kernel": per_gate(orthogonal, 2)(
                recurrent_key, (hidden_size, 2 * hidden_size)
            ),
            "bias": jnp.concatenate([forget_bias, jnp.zeros(hidden_size)]),
        }

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> JANETCarry:
        return JANETCarry(jnp.zeros((*batch_shape, hidden_size), params["recurrent_kernel"].dtype))

    def update(params: Params, carry: JANETCarry, z: Array, r: Array) -> tuple[JANETCarry, Array]:
        del params
        s, g = jnp.split(z + r, 2, axis=-1)
        # 1 - sigmoid(s - beta), without the cancellation where the gate is nearly closed.
        hidden = jax.nn.sigmoid(s) * carry.hidden + jax.nn.sigmoid(beta - s) * jnp.tanh(g)
        return JANETCarry(hidden), hidden

    return gated_cell(
        init=init,
        initial_carry=initial_carry,
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=update,
        output_size=hidden_size,
    )
