"""The long short-term memory cell."""

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells import lstm_equations as equations
from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.lstm_equations import GATE_ORDER, LSTMCarry
from lstm_jax.config import PositiveFloat, PositiveInt, Range, register


@register("cell")
def lstm(
    hidden_size: int,
    *,
    peepholes: bool = False,
    coupled_gates: bool = False,
    projection_size: PositiveInt | None = None,
    layer_norm: bool = False,
    cell_clip: PositiveFloat | None = None,
    gate_activation: Literal["sigmoid", "hard_sigmoid"] = "sigmoid",
    activation: Literal["tanh", "hard_tanh", "relu", "identity"] = "tanh",
    output_activation: Literal["tanh", "hard_tanh", "relu", "identity"] | None = None,
    initializer: Literal[
        "glorot_orthogonal", "lecun_orthogonal", "torch_uniform"
    ] = "glorot_orthogonal",
    forget_bias: float = 1.0,
    chrono_max: Annotated[int, Range(2)] | None = None,
    learn_initial_carry: bool = False,
) -> Cell:
    """Long short-term memory with a forget gate.

        i, f, o = sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
        c' = f * c + i * g                      h' = o * tanh(c')

    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997;
    the forget gate is that of F. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget",
    2000. One bias serves both products; gates stand in the order i f g o.

    Options change this so:

        peepholes       i and f see p * c, o sees p * c': F. Gers and J. Schmidhuber, "Recurrent
                        nets that time and count", 2000
        coupled_gates   i = 1 - f, and the gates of the kernels are f g o
        projection      h' = V (o * tanh(c')): H. Sak, A. Senior and F. Beaufays, "Long Short-Term
                        Memory Based Recurrent Neural Network Architectures", arXiv 1402.1128
        layer_norm      N(W x) + N(U h) + b, each over all gates, and tanh(N(c')): J. L. Ba,
                        J. R. Kiros and G. E. Hinton, "Layer Normalization", arXiv 1607.06450

    Params: `kernel` [input, 4 * hidden], `recurrent_kernel` [hidden, 4 * hidden],
    `bias` [4 * hidden]; with options `peephole_kernel` [3 * hidden] (i f o), `projection_kernel`
    [hidden, projection], `kernel_norm`, `recurrent_norm` and `cell_norm` with their `gamma` (the
    last also `beta`; of the others the bias is one), `initial_cell` and `initial_hidden`.

    A projection stands between the update and the next step, so that such a cell has a step alone.

    >>> cell = lstm(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.cell.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of memory cells.
      peepholes: whether the gates see the memory cells; their weights start at zero.
      coupled_gates: whether what is forgotten makes the room for what is written.
      projection_size: size of the hidden state and the output, if not that of the memory.
      layer_norm: whether the gates and the shown memory are normalised.
      cell_clip: largest absolute value of a memory cell; no limit, if None.
      gate_activation: of the gates.
      activation: of the candidate.
      output_activation: of the memory where it is shown; None means that of the candidate.
      initializer: of the kernels; glorot and lecun serve the kernel, gate by gate, with an
        orthogonal recurrent kernel; torch_uniform serves the bias too (torch adds no forget bias).
      forget_bias: initial bias of the forget gate; 1 keeps memories from the start
        (R. Jozefowicz, W. Zaremba and I. Sutskever, 2015).
      chrono_max: longest time between cause and effect, in steps; forget and input gates then
        start with biases for all times up to it, in place of `forget_bias` (arXiv 1804.11188).
      learn_initial_carry: whether the carry at the beginning of a sequence is learned.

    Raises:
      ValueError: a size, `cell_clip` or `chrono_max` is too small, or a name is not a choice.
    """
    options = equations.LSTMOptions(
        hidden_size=hidden_size,
        projection_size=projection_size,
        gates="fgo" if coupled_gates else GATE_ORDER,
        coupled_gates=coupled_gates,
        peepholes=peepholes,
        layer_norm=layer_norm,
        cell_clip=cell_clip,
        gate_activation=gate_activation,
        input_activation=activation,
        output_activation=output_activation or activation,
        initializer=initializer,
        forget_bias=forget_bias,
        chrono_max=chrono_max,
        learn_initial_carry=learn_initial_carry,
    )
    equations.check(options)
    if projection_size is not None:
        return _projected(options)
    parts = equations.parts(options)
    activations = (gate_activation, activation, options.output_activation)
    if activations != ("sigmoid", "tanh", "tanh") or (
        peepholes or coupled_gates or layer_norm or cell_clip is not None
    ):
        return gated_cell(**parts)
    plain = gated_cell(**parts | {"update": _update, "fast_update": fast_update})
    return plain._replace(kind="lstm")


def _update(
    params: Params, carry: LSTMCarry, z: Array, r: Array, candidate_mask: Array | float = 1.0
) -> tuple[LSTMCarry, Array]:
    del params
    i, f, g, o = jnp.split(z + r, 4, axis=-1)
    written = jax.nn.sigmoid(i) * jnp.tanh(g) * candidate_mask
    cell = jax.nn.sigmoid(f) * carry.cell + written
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return LSTMCarry(cell, hidden), hidden


def fast_update(params: Params, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    """The plain update; its derivative reads the activated gates, which is faster."""
    del params  # a parameter of the function with the rule would cost a gradient of zeros a step
    cell, hidden = _remember(carry.cell, z + r)
    return LSTMCarry(cell, hidden), hidden


@jax.custom_vjp
def _remember(cell: Array, gates: Array) -> tuple[Array, Array]:
    return _remember_forward(cell, gates)[0]


def _remember_forward(cell: Array, gates: Array) -> tuple[tuple[Array, Array], Any]:
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    new_cell = f * cell + i * g
    shown = jnp.tanh(new_cell)
    return (new_cell, o * shown), (i, f, g, o, cell, shown)


def _remember_backward(saved: Any, cotangents: tuple[Array, Array]) -> tuple[Array, Array]:
    i, f, g, o, cell, shown = saved
    d_cell, d_hidden = cotangents
    d_cell = d_cell + d_hidden * o * (1 - shown * shown)
    d_gates = (
        d_cell * g * i * (1 - i),
        d_cell * cell * f * (1 - f),
        d_cell * i * (1 - g * g),
        d_hidden * shown * o * (1 - o),
    )
    return (d_cell * f).astype(cell.dtype), jnp.concatenate(d_gates, axis=-1).astype(i.dtype)


_remember.defvjp(_remember_forward, _remember_backward)


def _projected(options: equations.LSTMOptions) -> Cell:
    parts = equations.parts(options)

    def step(params: Params, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        z, r = parts["project"](params, x), parts["recur"](params, carry)
        new, shown = parts["update"](params, carry, z, r)
        hidden = shown @ params["projection_kernel"]
        return LSTMCarry(new.cell, hidden), hidden

    return Cell(parts["init"], parts["initial_carry"], step, options.output_size)
