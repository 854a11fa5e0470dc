"""The quasi-recurrent network: a convolution over time, then pooling by gates."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params
from lstm_jax.cells.checks import require_choices, require_sizes
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


# The blocks of the kernel, in the order of the library's other gates.
_GATES = {"f": "fg", "fo": "fgo", "ifo": "ifgo"}


@register("cell")
def qrnn(
    hidden_size: int, *, window: PositiveInt = 2, pooling: Literal["f", "fo", "ifo"] = "fo"
) -> Cell:
    """Quasi-recurrent network.

        g = tanh(W * x)      i, f, o = sigmoid(W * x)      W * x = sum_k W_k x_(t-k) + b
        c' = f * c + (1 - f) * g      y = c'               f-pooling
        c' = f * c + (1 - f) * g      y = o * c'           fo-pooling
        c' = f * c + i * g            y = o * c'           ifo-pooling

    J. Bradbury, S. Merity, C. Xiong and R. Socher, "Quasi-Recurrent Neural Networks",
    arXiv 1611.01576, 2016. The convolution sees this input and the `window - 1` before it, which
    the carry holds; before the first they are zeros. Masked steps are not among them.

    Params: `kernel` [window, input, gates * hidden], the oldest input first, `bias`
    [gates * hidden]; in the order i f g o, without the gates that the pooling has not.

    >>> cell = qrnn(hidden_size=3, window=2)
    >>> params = cell.init(jax.random.key(0), input_size=4)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 4)))
    >>> carry.inputs.shape, y.shape
    ((5, 1, 4), (5, 3))

    Args:
      hidden_size: number of memory cells.
      window: how many inputs a gate sees.
      pooling: which gates pool over time, forget alone, with output, or with input too.

    Raises:
      ValueError: `hidden_size` or `window` is not positive, or there is no such pooling.
    """
    require_sizes(hidden_size=hidden_size, window=window)
    require_choices(_GATES, pooling=pooling)
    gates = _GATES[pooling]

    def init(key: Array, input_size: int) -> Params:
        columns = len(gates) * hidden_size
        kernel = per_gate(glorot_uniform, len(gates))(key, (window, input_size, columns))
        return {"kernel": kernel, "bias": jnp.zeros(columns)}

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> QRNNCarry:
        _, input_size, _ = params["kernel"].shape
        dtype = params["kernel"].dtype
        return QRNNCarry(
            cell=jnp.zeros((*batch_shape, hidden_size), dtype),
            inputs=jnp.zeros((*batch_shape, window - 1, input_size), dtype),
        )

    def step(params: Params, carry: QRNNCarry, x: Array) -> tuple[QRNNCarry, Array]:
        seen = jnp.concatenate([carry.inputs, x[..., None, :]], axis=-2)
        keep, written, shown = _terms(gates, params, seen)
        cell = keep * carry.cell + written
        return QRNNCarry(cell, seen[..., 1:, :]), shown * cell

    def parallel(
        params: Params, carry: QRNNCarry, xs: Array, mask: Array | None, resets: Array | None
    ) -> tuple[QRNNCarry, Array]:
        xs = blank_masked(xs, mask)
        seen, last_inputs = _windows(carry.inputs, xs, mask, resets)
        keep, written, shown = _terms(gates, params, seen)
        last, c_tbh = linear_recurrence(keep, written, carry.cell, mask=mask, resets=resets)
        return QRNNCarry(last, last_inputs), blank_masked(shown * c_tbh, mask)

    return Cell(init, initial_carry, step, hidden_size, parallel=parallel)


def _terms(gates: str, params: Params, seen: Array) -> tuple[Array, Array, Array | float]:
    """What windows of inputs [..., window, input] keep of the memory, write to it, and show."""
    z = jnp.tensordot(seen, params["kernel"], axes=2) + params["bias"]
    into = dict(zip(gates, jnp.split(z, len(gates), axis=-1), strict=True))
    f = jax.nn.sigmoid(into["f"])
    i = jax.nn.sigmoid(into["i"]) if "i" in into else 1 - f
    return f, i * jnp.tanh(into["g"]), jax.nn.sigmoid(into["o"]) if "o" in into else 1.0


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
