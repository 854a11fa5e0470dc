"""The quasi-recurrent network: a convolution over time, then pooling by gates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.initializers import glorot_uniform, per_gate
from lstm_jax.cells.linear_recurrence import blank_masked, linear_recurrence
from lstm_jax.config import PositiveInt, register


class QRNNCarry(NamedTuple):
    """The memory of a QRNN.

    Attributes:
      cell: what the forget gates pool, [..., hidden].
      inputs: the last window - 1 inputs, the oldest first, [..., window - 1, input].
    """

    cell: Array
    inputs: Array


@register("cell")
def qrnn(hidden_size: int, *, window: PositiveInt = 2) -> Cell:
    """Quasi-recurrent network with fo-pooling.

        g = tanh(W * x)        f, o = sigmoid(W * x)        W * x = sum_k W_k x_(t-k) + b
        c' = f * c + (1 - f) * g        y = o * c'

    J. Bradbury, S. Merity, C. Xiong and R. Socher, "Quasi-Recurrent Neural Networks",
    arXiv 1611.01576, 2016. The convolution sees this input and the `window - 1` before it, which
    the carry holds; before the first they are zeros. Masked steps are not among them.

    Params: `kernel` [window, input, 3 * hidden], the oldest input first, `bias` [3 * hidden]; in
    the order f g o.

    >>> cell = qrnn(hidden_size=3, window=2)
    >>> params = cell.init(jax.random.key(0), input_size=4)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 4)))
    >>> carry.inputs.shape, y.shape
    ((5, 1, 4), (5, 3))

    Args:
      hidden_size: number of memory cells.
      window: how many inputs a gate sees.

    Raises:
      ValueError: `hidden_size` or `window` is not positive.
    """
    for name, value in (("hidden_size", hidden_size), ("window", window)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")

    def init(key: Array, input_size: int) -> Params:
        kernel = per_gate(glorot_uniform, 3)(key, (window, input_size, 3 * hidden_size))
        return {"kernel": kernel, "bias": jnp.zeros(3 * hidden_size)}

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> QRNNCarry:
        _, input_size, _ = params["kernel"].shape
        dtype = params["kernel"].dtype
        return QRNNCarry(
            cell=jnp.zeros((*batch_shape, hidden_size), dtype),
            inputs=jnp.zeros((*batch_shape, window - 1, input_size), dtype),
        )

    return Cell(init, initial_carry, _step, hidden_size, parallel=_parallel)


def _step(params: Params, carry: QRNNCarry, x: Array) -> tuple[QRNNCarry, Array]:
    seen = jnp.concatenate([carry.inputs, x[..., None, :]], axis=-2)
    f, g, o = _gates(params, seen)
    cell = f * carry.cell + (1 - f) * g
    return QRNNCarry(cell, seen[..., 1:, :]), o * cell


def _parallel(
    params: Params, carry: QRNNCarry, xs: Array, mask: Array | None, resets: Array | None
) -> tuple[QRNNCarry, Array]:
    xs = blank_masked(xs, mask)
    seen, last_inputs = _windows(carry.inputs, xs, mask, resets)
    f, g, o = _gates(params, seen)
    last, c_tbh = linear_recurrence(f, (1 - f) * g, carry.cell, mask=mask, resets=resets)
    return QRNNCarry(last, last_inputs), blank_masked(o * c_tbh, mask)


def _gates(params: Params, seen: Array) -> tuple[Array, Array, Array]:
    """Activated gates of windows of inputs [..., window, input]."""
    z = jnp.tensordot(seen, params["kernel"], axes=2) + params["bias"]
    f, g, o = jnp.split(z, 3, axis=-1)
    return jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _windows(
    before: Array, xs: Array, mask: Array | None, resets: Array | None
) -> tuple[Array, Array]:
    """What the window shows at every step, [time, ..., window, input], and the carry's part of it.

    The steps of the carry stand before those of `xs`, and one after them, whose window without
    its own input is the carry at the end.
    """
    lags, time = before.shape[-2], xs.shape[0]
    one_more = jnp.zeros((1, *xs.shape[1:]), xs.dtype)
    steps = jnp.concatenate([jnp.moveaxis(before, -2, 0), xs, one_more])
    around = [(lags, 1), *[(0, 0)] * (xs.ndim - 2)]
    segment = jnp.zeros(steps.shape[:-1], int)
    if resets is not None:
        segment = jnp.cumsum(jnp.pad(resets, around), axis=0)
    previous = None
    if mask is not None:
        position = jnp.arange(lags + time + 1).reshape(-1, *[1] * (xs.ndim - 2))
        valid = jnp.pad(mask, around, constant_values=True)
        previous = jnp.roll(jax.lax.cummax(jnp.where(valid, position, 0)), 1, axis=0)

    shown, origin, past = steps, segment, []
    for _ in range(lags):
        shown, origin = _step_before(shown, previous), _step_before(origin, previous)
        past.append(jnp.where((origin == segment)[..., None], shown, 0))
    seen = jnp.stack([*past[::-1], steps], axis=-2)
    return seen[lags : lags + time], seen[-1, ..., :-1, :]


def _step_before(array: Array, previous: Array | None) -> Array:
    """Each step's entry becomes that of the valid step before; what wraps around is not used."""
    if previous is None:
        return jnp.roll(array, 1, axis=0)
    index = previous.reshape(previous.shape + (1,) * (array.ndim - previous.ndim))
    return jnp.take_along_axis(array, index, axis=0)
