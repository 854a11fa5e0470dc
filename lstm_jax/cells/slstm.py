"""The sLSTM: exponential gates, and a state that keeps them in range."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_choices, require_sizes
from lstm_jax.cells.initial_carry import zero_carry
from lstm_jax.cells.initializers import glorot_uniform, orthogonal, per_gate
from lstm_jax.config import PositiveInt, register


class SLSTMCarry(NamedTuple):
    """The memory of an sLSTM; cell and normalizer are those of the equations times exp(-m).

    Attributes:
      cell: weighted sum of candidates, [..., hidden].
      hidden: the output, [..., hidden].
      normalizer: sum of the weights, zero before the first input and at least 1 after it.
      stabilizer: logarithm of the largest weight in the sum, [..., hidden].
    """

    cell: Array
    hidden: Array
    normalizer: Array
    stabilizer: Array


@register("cell")
def slstm(
    hidden_size: int,
    *,
    num_heads: PositiveInt = 4,
    forget_gate: Literal["sigmoid", "exp"] = "sigmoid",
    forget_bias: float = 1.0,
) -> Cell:
    """Scalar LSTM of xLSTM: exponential input gate, normaliser, recurrence within heads.

        i = exp(i~)        f = sigmoid(f~) or exp(f~)        g = tanh(g~)        o = sigmoid(o~)
        c' = f * c + i * g        n' = f * n + i        h' = o * c' / n'
        i~, f~, g~, o~ = W x + R h + b, where R maps each head to itself alone

    M. Beck, K. Poppel, M. Spanring, A. Auer, O. Prudnikova, M. Kopp, G. Klambauer,
    J. Brandstetter and S. Hochreiter, "xLSTM: Extended Long Short-Term Memory",
    arXiv 2405.04517, 2024. The carry holds c exp(-m) and n exp(-m) with the running maximum
    m' = max(log f + m, i~), so that no exponential overflows; h does not depend on m.

    Params: `kernel` [input, 4 * hidden], `recurrent_kernel` [heads, head, 4 * head],
    `bias` [4 * hidden], in the order i f g o.

    >>> cell = slstm(hidden_size=6, num_heads=2)
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 3)))
    >>> params["recurrent_kernel"].shape, y.shape
    ((2, 3, 12), (5, 6))

    Args:
      hidden_size: number of memory cells, of all heads together.
      num_heads: how many blocks the recurrent map has; divides `hidden_size`.
      forget_gate: how the forget gate is activated.
      forget_bias: initial bias of the forget gate.

    Raises:
      ValueError: a size is not positive, heads do not divide `hidden_size`, or there is no such
        forget gate.
    """
    require_heads(hidden_size, num_heads)
    require_choices(("sigmoid", "exp"), forget_gate=forget_gate)
    head_size = hidden_size // num_heads

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        block = per_gate(orthogonal, 4)
        return {
            "kernel": per_gate(glorot_uniform, 4)(kernel_key, (input_size, 4 * hidden_size)),
            "recurrent_kernel": jnp.stack(
                [
                    block(head_key, (head_size, 4 * head_size))
                    for head_key in jax.random.split(recurrent_key, num_heads)
                ]
            ),
            "bias": jnp.repeat(jnp.array([0.0, forget_bias, 0.0, 0.0]), hidden_size),
        }

    def recur(params: Params, carry: SLSTMCarry) -> Array:
        batch = carry.hidden.shape[:-1]
        heads = carry.hidden.reshape(*batch, num_heads, head_size)
        kernel = params["recurrent_kernel"].reshape(num_heads, head_size, 4, head_size)
        return jnp.einsum("...nd,ndge->...gne", heads, kernel).reshape(*batch, 4 * hidden_size)

    def update(params: Params, carry: SLSTMCarry, z: Array, r: Array) -> tuple[SLSTMCarry, Array]:
        del params
        i, f, g, o = jnp.split(z + r, 4, axis=-1)
        return _update(carry, i, jax.nn.log_sigmoid(f) if forget_gate == "sigmoid" else f, g, o)

    return gated_cell(
        init=init,
        initial_carry=zero_carry(SLSTMCarry, hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=recur,
        update=update,
        output_size=hidden_size,
    )


def require_heads(hidden_size: int, num_heads: int) -> None:
    """Checks that the sizes are positive and the heads divide the memory cells.

    Raises:
      ValueError: they do not.
    """
    require_sizes(hidden_size=hidden_size, num_heads=num_heads)
    if hidden_size % num_heads:
        raise ValueError(f"num_heads must divide hidden_size {hidden_size}, got {num_heads}")


def _update(
    carry: SLSTMCarry, log_i: Array, log_f: Array, g: Array, o: Array
) -> tuple[SLSTMCarry, Array]:
    log_kept = log_f + carry.stabilizer
    # Without a memory its weight means nothing: the first input alone sets the scale.
    empty = carry.normalizer == 0
    stabilizer = jnp.where(empty, log_i, jnp.maximum(log_i, log_kept))
    log_keep = log_kept - stabilizer
    keep = jnp.exp(jnp.where(log_keep > 0, 0, log_keep))  # above 0 only if there is no memory
    write = jnp.exp(log_i - stabilizer)
    cell = keep * carry.cell + write * jnp.tanh(g)
    normalizer = keep * carry.normalizer + write
    hidden = jax.nn.sigmoid(o) * cell / normalizer
    return SLSTMCarry(cell, hidden, normalizer, stabilizer), hidden
