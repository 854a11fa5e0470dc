"""The minimal gated unit."""

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.gru import GRUCarry
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import gate_kernels
from lstm_jax.config import register


@register("cell")
def mgu(hidden_size: int) -> Cell:
    """Minimal gated unit: a GRU whose one gate both resets and updates.

        f = sigmoid(W x + U h + b)              g = tanh(W x + U (f * h) + b)
        h' = (1 - f) * h + f * g

    G.-B. Zhou, J. Wu, C.-L. Zhang and Z.-H. Zhou, "Minimal Gated Unit for Recurrent Neural
    Networks", International Journal of Automation and Computing 13(3), 2016
    (arXiv:1603.09420). The gate, called forget gate there, takes in the new at 1 and keeps the
    old at 0, so its bias starts at 0. Gates stand in the order f h.

    Params: `kernel` [input, 2 * hidden], `recurrent_kernel` [hidden, 2 * hidden],
    `bias` [2 * hidden].

    >>> cell = mgu(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    require_sizes(hidden_size=hidden_size)

    def init(key: Array, input_size: int) -> Params:
        kernels = gate_kernels(jax.random.split(key), input_size, hidden_size, 2)
        return kernels | {"bias": jnp.zeros(2 * hidden_size)}

    return Cell(init, zero_carry(GRUCarry, hidden_size), _step, hidden_size)


def _step(params: Params, carry: GRUCarry, x: Array) -> tuple[GRUCarry, Array]:
    input_f, input_h = jnp.split(x @ params["kernel"] + params["bias"], 2, axis=-1)
    kernel_f, kernel_h = jnp.split(params["recurrent_kernel"], 2, axis=-1)
    forget = jax.nn.sigmoid(input_f + carry.hidden @ kernel_f)
    candidate = jnp.tanh(input_h + (forget * carry.hidden) @ kernel_h)
    hidden = (1 - forget) * carry.hidden + forget * candidate
    return GRUCarry(hidden), hidden
