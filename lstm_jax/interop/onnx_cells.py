"""Our cells with what an ONNX node may change of them: activations and clipping."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Cell, LSTMCarry, Params, gated_cell, lstm
from lstm_jax.cells.gru import GRUCarry, gru
from lstm_jax.cells.rnn import RNNCarry, rnn
from lstm_jax.errors import did_you_mean

Activation = Callable[[Array], Array]


class _Function(NamedTuple):
    """A function of x, alpha and beta; a default of None means that it does not take that one."""

    apply: Callable[..., Array]
    alpha: float | None = None
    beta: float | None = None
    required: bool = False


_FUNCTIONS = {
    "Relu": _Function(lambda x, a, b: jax.nn.relu(x)),
    "Tanh": _Function(lambda x, a, b: jnp.tanh(x)),
    "Sigmoid": _Function(lambda x, a, b: jax.nn.sigmoid(x)),
    "Affine": _Function(lambda x, a, b: a * x + b, 1.0, 0.0, required=True),
    "LeakyRelu": _Function(lambda x, a, b: jnp.where(x >= 0, x, a * x), 0.01),
    "ThresholdedRelu": _Function(lambda x, a, b: jnp.where(x >= a, x, 0), 1.0),
    "ScaledTanh": _Function(lambda x, a, b: a * jnp.tanh(b * x), 1.0, 1.0, required=True),
    "HardSigmoid": _Function(lambda x, a, b: jnp.clip(a * x + b, 0, 1), 0.2, 0.5),
    "Elu": _Function(lambda x, a, b: jax.nn.elu(x, a), 1.0),
    "Softsign": _Function(lambda x, a, b: jax.nn.soft_sign(x)),
    "Softplus": _Function(lambda x, a, b: jax.nn.softplus(x)),
}


def activations_of(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Activation]:
    """The functions of these names; alphas and betas are used up by those that take one, in turn.

    >>> relu, leaky = activations_of(["Relu", "LeakyRelu"], [0.5], [])
    >>> float(relu(-2.0)), float(leaky(-2.0))
    (0.0, -1.0)

    Raises:
      ValueError: there is no such function, or one without defaults is given no value.
    """
    functions, left = [], (iter(alphas), iter(betas))
    for name in names:
        if name not in _FUNCTIONS:
            hint = did_you_mean(name, _FUNCTIONS)
            raise ValueError(f"activations: there is no {name!r}; {hint}")
        functions.append(_bind(name, *left))
    return functions


def _bind(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    function = _FUNCTIONS[name]
    values = []
    for which, given, default in (
        ("alpha", alphas, function.alpha),
        ("beta", betas, function.beta),
    ):
        value = None if default is None else next(given, None)
        if value is None and default is not None and function.required:
            raise ValueError(f"activation_{which} must hold a value for {name}")
        values.append(default if value is None else value)
    return lambda x: function.apply(x, *values)


def lstm_cell(
    hidden_size: int,
    activations: Sequence[Activation],
    *,
    clip: float | None,
    input_forget: bool,
    peepholes: bool,
) -> Cell:
    """ONNX's LSTM, of our params: gates i f g o, peepholes i f o.

    With `input_forget` f = 1 - i. The gates' inputs are clipped, and not the memory before it is
    shown: the standard leaves that open, and onnxruntime does it so.
    """
    gate, candidate, show = activations

    def update(params: Params, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
        i, f, g, o = jnp.split(z + r, 4, axis=-1)
        see_i, see_f, see_o = (
            jnp.split(params["peephole_kernel"], 3) if peepholes else (0.0, 0.0, 0.0)
        )
        i = gate(_clip(i + see_i * carry.cell, clip))
        f = 1 - i if input_forget else gate(_clip(f + see_f * carry.cell, clip))
        cell = f * carry.cell + i * candidate(_clip(g, clip))
        hidden = gate(_clip(o + see_o * cell, clip)) * show(cell)
        return LSTMCarry(cell, hidden), hidden

    return _with_update(lstm(hidden_size), update)


def gru_cell(
    hidden_size: int,
    activations: Sequence[Activation],
    *,
    clip: float | None,
    linear_before_reset: bool,
) -> Cell:
    """ONNX's GRU, of our params: gates z r h."""
    gate, candidate = activations

    def blend(carry: GRUCarry, update: Array, new: Array) -> tuple[GRUCarry, Array]:
        hidden = (1 - update) * new + update * carry.hidden
        return GRUCarry(hidden), hidden

    def update(params: Params, carry: GRUCarry, z: Array, r: Array) -> tuple[GRUCarry, Array]:
        input_zr, input_h = jnp.split(z, [2 * hidden_size], axis=-1)
        hidden_zr, hidden_h = jnp.split(r + params["bias"][1], [2 * hidden_size], axis=-1)
        update, reset = jnp.split(gate(_clip(input_zr + hidden_zr, clip)), 2, axis=-1)
        return blend(carry, update, candidate(_clip(input_h + reset * hidden_h, clip)))

    def step(params: Params, carry: GRUCarry, x: Array) -> tuple[GRUCarry, Array]:
        kernel_zr, kernel_h = jnp.split(params["recurrent_kernel"], [2 * hidden_size], axis=-1)
        input_zr, input_h = jnp.split(
            x @ params["kernel"] + params["bias"], [2 * hidden_size], axis=-1
        )
        update, reset = jnp.split(
            gate(_clip(input_zr + carry.hidden @ kernel_zr, clip)), 2, axis=-1
        )
        new = candidate(_clip(input_h + (reset * carry.hidden) @ kernel_h, clip))
        return blend(carry, update, new)

    cell = gru(hidden_size, reset_after=linear_before_reset)
    return _with_update(cell, update) if linear_before_reset else cell._replace(step=step)


def rnn_cell(hidden_size: int, activations: Sequence[Activation], *, clip: float | None) -> Cell:
    """ONNX's RNN."""
    (activation,) = activations

    def update(params: Params, carry: RNNCarry, z: Array, r: Array) -> tuple[RNNCarry, Array]:
        del params, carry
        hidden = activation(_clip(z + r, clip))
        return RNNCarry(hidden), hidden

    return _with_update(rnn(hidden_size), update)


def _clip(x: Array, threshold: float | None) -> Array:
    return x if threshold is None else jnp.clip(x, -threshold, threshold)


def _with_update(cell: Cell, update: Callable[..., Any]) -> Cell:
    assert cell.project is not None
    assert cell.recur is not None
    return gated_cell(
        init=cell.init,
        initial_carry=cell.initial_carry,
        project=cell.project,
        recur=cell.recur,
        update=update,
        output_size=cell.output_size,
    )
