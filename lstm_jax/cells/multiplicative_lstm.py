"""The multiplicative LSTM."""

import jax

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.initializers import glorot_uniform, orthogonal
from lstm_jax.cells.lstm import LSTMCarry, lstm
from lstm_jax.config import register


@register("cell")
def multiplicative_lstm(hidden_size: int, *, forget_bias: float = 1.0) -> Cell:
    """LSTM with another recurrent map for every input.

        m = (V x) * (R h)
        c', h' = LSTM step from cell c and hidden m, reading x

    B. Krause, L. Lu, I. Murray and S. Renals, "Multiplicative LSTM for sequence modelling",
    2016 (arXiv:1609.07959). Gates and bias are those of `lstm`, in the order i f g o.

    Params: those of `lstm`, `kernel` [input, 4 * hidden], `recurrent_kernel`
    [hidden, 4 * hidden] and `bias` [4 * hidden]; `multiplicative_kernel` V [input, hidden];
    `multiplicative_recurrent_kernel` R [hidden, hidden].

    >>> import jax.numpy as jnp
    >>> cell = multiplicative_lstm(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.cell.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of memory cells.
      forget_bias: initial bias of the forget gate.

    Raises:
      ValueError: `hidden_size` is not positive.
    """
    inner = lstm(hidden_size, forget_bias=forget_bias)

    def init(key: Array, input_size: int) -> Params:
        lstm_key, kernel_key, recurrent_key = jax.random.split(key, 3)
        return inner.init(lstm_key, input_size) | {
            "multiplicative_kernel": glorot_uniform(kernel_key, (input_size, hidden_size)),
            "multiplicative_recurrent_kernel": orthogonal(
                recurrent_key, (hidden_size, hidden_size)
            ),
        }

    def step(params: Params, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        from_hidden = carry.hidden @ params["multiplicative_recurrent_kernel"]
        m = (x @ params["multiplicative_kernel"]) * from_hidden
        return inner.step(params, LSTMCarry(carry.cell, m), x)

    return Cell(init, inner.initial_carry, step, hidden_size)
