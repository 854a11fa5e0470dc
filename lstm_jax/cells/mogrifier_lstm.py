"""The Mogrifier LSTM."""

import jax

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.initializers import glorot_uniform
from lstm_jax.cells.lstm import LSTMCarry, lstm
from lstm_jax.config import NonNegativeInt, PositiveInt, register


@register("cell")
def mogrifier_lstm(
    hidden_size: int,
    *,
    rounds: NonNegativeInt = 5,
    rank: PositiveInt | None = None,
    forget_bias: float = 1.0,
) -> Cell:
    """LSTM whose input and hidden state gate each other in turns before it reads them.

        x <- 2 sigmoid(h Q_n) * x               in round n = 1, 3, 5, ...
        h <- 2 sigmoid(x R_n) * h               in round n = 2, 4, 6, ...
        c', h' = LSTM step from cell c and hidden h, reading x

    G. Melis, T. Kočiský and P. Blunsom, "Mogrifier LSTM", 2019 (arXiv:1909.01792). With no
    rounds it is the `lstm`.

    Params: those of `lstm`, and under `mogrifier` for each round `round_1`, `round_2`, ... a
    `kernel`, [hidden, input] in odd rounds and [input, hidden] in even ones. With `rank` the
    kernel is the product of `left` [..., rank] and `right` [rank, ...].

    >>> import jax.numpy as jnp
    >>> cell = mogrifier_lstm(hidden_size=3, rounds=2)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> params["mogrifier"]["round_1"]["kernel"].shape
    (3, 2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.cell.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of memory cells.
      rounds: how many times one gates the other; the paper finds 5 or 6 best.
      rank: rank of the kernels of the rounds; None means full matrices.
      forget_bias: initial bias of the forget gate.

    Raises:
      ValueError: `hidden_size` or `rank` is not positive, or `rounds` is negative.
    """
    require_sizes(0, rounds=rounds)
    require_sizes(rank=rank)
    inner = lstm(hidden_size, forget_bias=forget_bias)

    def init(key: Array, input_size: int) -> Params:
        lstm_key, *round_keys = jax.random.split(key, rounds + 1)
        params = inner.init(lstm_key, input_size)
        if rounds:
            params["mogrifier"] = {
                f"round_{n}": _init_round(
                    k, (hidden_size, input_size) if n % 2 else (input_size, hidden_size), rank
                )
                for n, k in enumerate(round_keys, start=1)
            }
        return params

    def step(params: Params, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        h = carry.hidden
        for n in range(1, rounds + 1):
            kernel = params["mogrifier"][f"round_{n}"]
            if n % 2:
                x = 2 * jax.nn.sigmoid(_product(h, kernel)) * x
            else:
                h = 2 * jax.nn.sigmoid(_product(x, kernel)) * h
        return inner.step(params, LSTMCarry(carry.cell, h), x)

    return Cell(init, inner.initial_carry, step, hidden_size)


def _init_round(key: Array, shape: tuple[int, int], rank: int | None) -> Params:
    if rank is None:
        return {"kernel": glorot_uniform(key, shape)}
    left_key, right_key = jax.random.split(key)
    return {
        "left": glorot_uniform(left_key, (shape[0], rank)),
        "right": glorot_uniform(right_key, (rank, shape[1])),
    }


def _product(x: Array, params: Params) -> Array:
    return x @ params["kernel"] if "kernel" in params else x @ params["left"] @ params["right"]
