"""The mLSTM: a matrix memory that is written and read by keys."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_sizes
from lstm_jax.cells.initializers import glorot_uniform, per_gate
from lstm_jax.cells.linear_recurrence import blank_masked
from lstm_jax.cells.slstm import require_heads
from lstm_jax.config import PositiveInt, register

_EPSILON = 1e-6  # added to the normaliser, as in the authors' package
_LARGEST_EXPONENT = 80.0  # beyond it float32 overflows, and the output is zero anyway


class MLSTMCarry(NamedTuple):
    """The memory of an mLSTM; cell and normalizer are those of the equations times exp(-m).

    Attributes:
      cell: weighted sum of products of keys and values, [..., heads, head, head].
      normalizer: weighted sum of keys, [..., heads, head].
      stabilizer: logarithm m of the largest weight in these sums, [..., heads].
    """

    cell: Array
    normalizer: Array
    stabilizer: Array


class _Inputs(NamedTuple):
    """What an input asks of the memory: [..., heads, head], and [..., heads] for the gates."""

    query: Array
    key: Array
    value: Array
    log_i: Array
    log_f: Array


@register("cell")
def mlstm(
    hidden_size: int,
    *,
    num_heads: PositiveInt = 4,
    chunk_size: PositiveInt = 64,
    forget_bias_first: float = 3.0,
    forget_bias_last: float = 6.0,
) -> Cell:
    """Matrix LSTM of xLSTM: a matrix memory with exponential input gate and no recurrent map.

        q, v = W x + b        k = (W x + b) / sqrt(head)        o = sigmoid(W x + b)
        i = exp(i~)        f = sigmoid(f~)        i~, f~ = w . x + b, one number a head
        C' = f C + i k v^T        n' = f n + i k        y = o * (C'^T q) / max(|n' . q|, 1)

    M. Beck, K. Poppel, M. Spanring, A. Auer, O. Prudnikova, M. Kopp, G. Klambauer,
    J. Brandstetter and S. Hochreiter, "xLSTM: Extended Long Short-Term Memory",
    arXiv 2405.04517, 2024. The carry holds C exp(-m) and n exp(-m) with the running maximum
    m' = max(log f + m, i~), and the 1 becomes exp(-m), so that no exponential overflows.

    The parallel form works chunk by chunk: within a chunk every query meets every key before it
    in one product, and the memory passes from chunk to chunk.

    Params: `kernel` [input, 4 * hidden] in the order q k v o, `bias` [4 * hidden];
    `gate_kernel` [input, 2 * heads] in the order i f, `gate_bias` [2 * heads].

    >>> cell = mlstm(hidden_size=6, num_heads=2)
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> carry = cell.initial_carry(params, (5,))
    >>> carry, ys = cell.parallel(params, carry, jnp.ones((100, 5, 3)), None, None)
    >>> carry.cell.shape, ys.shape
    ((5, 2, 3, 3), (100, 5, 6))

    Args:
      hidden_size: size of the output, of all heads together.
      num_heads: how many matrix memories; divides `hidden_size`.
      chunk_size: how many steps the parallel form computes at once.
      forget_bias_first: initial forget bias of the first head; those of the others follow evenly.
      forget_bias_last: initial forget bias of the last head.

    Raises:
      ValueError: a size is not positive, or heads do not divide `hidden_size`.
    """
    require_heads(hidden_size, num_heads)
    require_sizes(chunk_size=chunk_size)
    head_size = hidden_size // num_heads

    def init(key: Array, input_size: int) -> Params:
        forget_bias = jnp.linspace(forget_bias_first, forget_bias_last, num_heads)
        return {
            "kernel": per_gate(glorot_uniform, 4)(key, (input_size, 4 * hidden_size)),
            "bias": jnp.zeros(4 * hidden_size),
            "gate_kernel": jnp.zeros((input_size, 2 * num_heads)),  # gates begin the same for all
            "gate_bias": jnp.concatenate([jnp.zeros(num_heads), forget_bias]),
        }

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> MLSTMCarry:
        dtype = params["kernel"].dtype
        return MLSTMCarry(
            cell=jnp.zeros((*batch_shape, num_heads, head_size, head_size), dtype),
            normalizer=jnp.zeros((*batch_shape, num_heads, head_size), dtype),
            stabilizer=jnp.zeros((*batch_shape, num_heads), dtype),
        )

    def step(params: Params, carry: MLSTMCarry, x: Array) -> tuple[MLSTMCarry, Array]:
        inputs, o = _project(params, x, num_heads)
        carry, read = _step(carry, inputs)
        return carry, o * read.reshape(o.shape)

    def parallel(
        params: Params, carry: MLSTMCarry, xs: Array, mask: Array | None, resets: Array | None
    ) -> tuple[MLSTMCarry, Array]:
        time = xs.shape[0]
        inputs, o = _project(params, blank_masked(xs, mask), num_heads)
        everywhere = jnp.ones(xs.shape[:-1], bool)
        valid = everywhere if mask is None else mask
        anew = ~everywhere if resets is None else resets
        size = max(1, min(chunk_size, time))
        chunks = jax.tree.map(lambda a: _chunks(a, size), (inputs, valid, anew))
        carry, read = jax.lax.scan(lambda carry, c: _chunk(carry, *c), carry, chunks)
        read = jnp.moveaxis(read, -2, 1)  # [chunk, step, ..., heads, head]
        read = read.reshape(-(-time // size) * size, *read.shape[2:])[:time]
        return carry, blank_masked(o * read.reshape(o.shape), mask)

    return Cell(init, initial_carry, step, hidden_size, parallel=parallel)


def _project(params: Params, x: Array, num_heads: int) -> tuple[_Inputs, Array]:
    """What the memory is asked, and the output gate [..., hidden]."""
    q, k, v, o = jnp.split(x @ params["kernel"] + params["bias"], 4, axis=-1)
    q, k, v = (a.reshape(*a.shape[:-1], num_heads, a.shape[-1] // num_heads) for a in (q, k, v))
    i, f = jnp.split(x @ params["gate_kernel"] + params["gate_bias"], 2, axis=-1)
    k = k / math.sqrt(k.shape[-1])
    return _Inputs(q, k, v, i, jax.nn.log_sigmoid(f)), jax.nn.sigmoid(o)


def _step(carry: MLSTMCarry, inputs: _Inputs) -> tuple[MLSTMCarry, Array]:
    query, key, value, log_i, log_f = inputs
    stabilizer = jnp.maximum(log_f + carry.stabilizer, log_i)
    keep = jnp.exp(log_f + carry.stabilizer - stabilizer)[..., None]
    written = jnp.exp(log_i - stabilizer)[..., None] * key
    cell = keep[..., None] * carry.cell + written[..., :, None] * value[..., None, :]
    normalizer = keep * carry.normalizer + written
    read = jnp.einsum("...k,...kv->...v", query, cell)
    weight = jnp.sum(query * normalizer, axis=-1)
    return MLSTMCarry(cell, normalizer, stabilizer), read / _divisor(weight, stabilizer)


def _divisor(weight: Array, stabilizer: Array) -> Array:
    one = jnp.exp(jnp.minimum(-stabilizer, _LARGEST_EXPONENT))
    return (jnp.maximum(jnp.abs(weight), one) + _EPSILON)[..., None]


def _chunks(array: Array, size: int) -> Array:
    """[time, ...] to [chunk, ..., step], or [chunk, ..., step, head] where there is a head axis.

    The last chunk is filled up with zeros, which for `valid` means masked steps.
    """
    array = jnp.pad(array, [(0, -array.shape[0] % size), *[(0, 0)] * (array.ndim - 1)])
    return array.reshape(array.shape[0] // size, size, *array.shape[1:])


def _chunk(
    carry: MLSTMCarry, inputs: _Inputs, valid: Array, anew: Array
) -> tuple[MLSTMCarry, Array]:
    """Carry after a chunk, and what its queries read, [..., heads, step, head].

    Letters: n heads, t the step that reads, u the step that wrote, d a head's axis.
    """
    q_ntd, k_ntd, v_ntd = (jnp.moveaxis(a, 0, -2) for a in inputs[:3])
    gates = (jnp.moveaxis(a, 0, -1) for a in (*inputs[3:], valid, anew))
    wrote_ntu, kept_nt, m_nt = _chunk_weights(carry.stabilizer, *gates)

    scores_ntu = wrote_ntu * (q_ntd @ jnp.swapaxes(k_ntd, -1, -2))
    read_ntd = scores_ntu @ v_ntd + kept_nt[..., None] * (q_ntd @ carry.cell)
    from_carry_nt = jnp.einsum("...td,...d->...t", q_ntd, carry.normalizer)
    weight_nt = scores_ntu.sum(-1) + kept_nt * from_carry_nt

    kept_n1, written_nud = kept_nt[..., -1, None], wrote_ntu[..., -1, :, None] * k_ntd
    cell = kept_n1[..., None] * carry.cell + jnp.swapaxes(written_nud, -1, -2) @ v_ntd
    normalizer = kept_n1 * carry.normalizer + written_nud.sum(-2)
    return MLSTMCarry(cell, normalizer, m_nt[..., -1]), read_ntd / _divisor(weight_nt, m_nt)


def _chunk_weights(
    stabilizer_n: Array, log_i_nt: Array, log_f_nt: Array, valid_t: Array, anew_t: Array
) -> tuple[Array, Array, Array]:
    """What each step still holds of every write and of the carry, and its stabilizer."""
    valid_nt = valid_t[..., None, :]
    segment_nt = jnp.cumsum(anew_t, axis=-1)[..., None, :]
    log_f_nt = jnp.where(valid_nt, log_f_nt, 0)
    first_nt = segment_nt == 0  # no reset since the chunk began: the carry still counts

    t, u = jnp.ogrid[: log_f_nt.shape[-1], : log_f_nt.shape[-1]]
    together_ntu = (u <= t) & (segment_nt[..., :, None] == segment_nt[..., None, :])
    # Sums over the steps between, term by term: differences of long sums would lose digits.
    decay_ntu = jnp.cumsum(jnp.where(t > u, log_f_nt[..., :, None], 0), axis=-2)
    wrote_ntu = decay_ntu + log_i_nt[..., None, :]
    wrote_ntu = jnp.where(together_ntu & valid_nt[..., None, :], wrote_ntu, -jnp.inf)
    kept_nt = jnp.sum(jnp.where(together_ntu, log_f_nt[..., None, :], 0), axis=-1)
    kept_nt = kept_nt + jnp.where(first_nt, stabilizer_n[..., None], 0)

    m_nt = jnp.maximum(kept_nt, jnp.max(wrote_ntu, axis=-1))
    kept_nt = jnp.where(first_nt, jnp.exp(kept_nt - m_nt), 0)
    return jnp.exp(wrote_ntu - m_nt[..., None]), kept_nt, m_nt
