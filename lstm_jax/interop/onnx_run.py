"""LSTM, GRU and RNN nodes of ONNX, run by our cells; onnx need not be installed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.interop.arrays import to_jax
from lstm_jax.interop.checks import require_only, require_shape
from lstm_jax.interop.layers import cell_of
from lstm_jax.interop.onnx_cells import activations_of, gru_cell, lstm_cell, rnn_cell
from lstm_jax.interop.onnx_node import INPUTS, WEIGHTS, Options, arrays_of, options_of, read_params
from lstm_jax.recurrence import scan


def import_node(
    op_type: str, attributes: Mapping[str, Any], weights: Mapping[str, Any]
) -> Callable[..., tuple[Array, ...]]:
    """A function that computes what the node computes, by our cells and `scan`.

    It takes X, and if wanted `sequence_lens`, `initial_h` and `initial_c`, in the layout of the
    node, and returns Y, Y_h and, of an LSTM, Y_c. What is behind the end of a sequence is zero.

    >>> arrays = {"W": jnp.ones((1, 8, 3), "f"), "R": jnp.ones((1, 8, 2), "f")}
    >>> run = import_node("LSTM", {"hidden_size": 2}, arrays)
    >>> [output.shape for output in run(jnp.ones((5, 4, 3), "f"))]
    [(5, 1, 4, 2), (1, 4, 2), (1, 4, 2)]

    Args:
      op_type: "LSTM", "GRU" or "RNN".
      attributes: those of the node, by name.
      weights: the arrays W and R, and if the node has them B and P.

    Raises:
      ValueError: an attribute is unknown or a shape does not fit; it is named.
    """
    options = options_of(op_type, attributes, weights)
    arrays = arrays_of(options, weights)
    coupled = options.input_forget and options.is_ours
    params = [read_params(options, arrays, d, coupled) for d in range(options.directions)]
    cells = list(zip(_cells(options, params), params, strict=True))

    def run(
        x: Any, sequence_lens: Any = None, initial_h: Any = None, initial_c: Any = None
    ) -> tuple[Array, ...]:
        x_tbd = _turn(options, to_jax("X", x))
        if x_tbd.ndim != 3:
            raise ValueError(f"X must have three axes, got shape {x_tbd.shape}")
        require_shape("X", x_tbd, (*x_tbd.shape[:2], arrays["W"].shape[-1]))
        batch = x_tbd.shape[1]
        states = _states(options, batch, initial_h, initial_c)
        lengths = None if sequence_lens is None else jnp.asarray(sequence_lens)
        ys, carries = [], []
        for direction, (cell, params) in enumerate(cells):
            start = _start(cell, params, batch, direction, states)
            reverse = options.direction == "reverse" or direction == 1
            carry, y = scan(cell, params, start, x_tbd, lengths=lengths, reverse=reverse)
            ys.append(y)
            carries.append(carry)
        y_tnbh = jnp.stack(ys, axis=1)  # n: direction
        y = jnp.transpose(y_tnbh, (2, 0, 1, 3)) if options.batch_first else y_tnbh
        last = [jnp.stack([carry.hidden for carry in carries])]
        if options.kind == "lstm":
            last.append(jnp.stack([carry.cell for carry in carries]))
        return y, *(_turn(options, one) for one in last)

    return run


def run_node(
    op_type: str, attributes: Mapping[str, Any], inputs: Mapping[str, Any] | Sequence[Any]
) -> tuple[Array, ...]:
    """Y, Y_h and, of an LSTM, Y_c, of one node.

    >>> inputs = [jnp.ones((5, 4, 3), "f"), jnp.ones((1, 2, 3), "f"), jnp.ones((1, 2, 2), "f")]
    >>> [output.shape for output in run_node("RNN", {"hidden_size": 2}, inputs)]
    [(5, 1, 4, 2), (1, 4, 2)]

    Args:
      op_type: "LSTM", "GRU" or "RNN".
      attributes: those of the node, by name.
      inputs: arrays by name, or in ONNX's order (X W R B sequence_lens initial_h initial_c P),
        None for what is left out.

    Raises:
      ValueError: an attribute or input is unknown, or a shape does not fit; it is named.
    """
    if not isinstance(inputs, Mapping):
        inputs = dict(zip(INPUTS, inputs, strict=False))
    given = {name: values for name, values in inputs.items() if values is not None}
    require_only(given, {"X", "W", "R"}, f"a node {op_type}", *INPUTS[3:])
    weights = {name: given[name] for name in WEIGHTS if name in given}
    rest = {name: given[name] for name in INPUTS[4:7] if name in given}
    return import_node(op_type, attributes, weights)(given["X"], **rest)


def _cells(options: Options, params: Sequence[Params]) -> list[Cell]:
    """The cells of the directions: ours, or ours with the node's activations and clipping."""
    if options.is_ours:
        name = options.activations[0].lower() if options.kind == "rnn" else "tanh"
        return [cell_of(options.kind, one, name) for one in params]
    functions = activations_of(options.activations, options.alphas, options.betas)
    count = len(functions) // options.directions
    size, clip, cells = options.hidden_size, options.clip, []
    for direction, one in enumerate(params):
        own = functions[direction * count : (direction + 1) * count]
        if options.kind == "lstm":
            peepholes = "peephole_kernel" in one
            cell = lstm_cell(
                size, own, clip=clip, input_forget=options.input_forget, peepholes=peepholes
            )
        elif options.kind == "gru":
            before = options.linear_before_reset
            cell = gru_cell(size, own, clip=clip, linear_before_reset=before)
        else:
            cell = rnn_cell(size, own, clip=clip)
        cells.append(cell)
    return cells


def _states(options: Options, batch: int, initial_h: Any, initial_c: Any) -> dict[str, Array]:
    """The initial states that are given, [direction, batch, hidden], by the name in our carry."""
    if initial_c is not None and options.kind != "lstm":
        raise ValueError("initial_c belongs to an LSTM alone")
    states = {}
    for name, field, values in (
        ("initial_h", "hidden", initial_h),
        ("initial_c", "cell", initial_c),
    ):
        if values is not None:
            states[field] = _turn(options, to_jax(name, values))
            require_shape(name, states[field], (options.directions, batch, options.hidden_size))
    return states


def _start(
    cell: Cell, params: Params, batch: int, direction: int, states: Mapping[str, Array]
) -> Carry:
    zeros = cell.initial_carry(params, (batch,))
    return zeros._replace(**{field: values[direction] for field, values in states.items()})


def _turn(options: Options, array: Array) -> Array:
    """Exchanges the first two axes if the node has the batch first."""
    return jnp.swapaxes(array, 0, 1) if options.batch_first else array
