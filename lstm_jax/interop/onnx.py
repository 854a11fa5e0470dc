"""LSTM, GRU and RNN nodes of ONNX, in and out; onnx need not be installed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.interop.onnx_cells import activations_of, gru_cell, lstm_cell, rnn_cell
from lstm_jax.interop.onnx_node import (
    KINDS,
    Options,
    arrays_of,
    is_coupled,
    options_of,
    read_params,
    write_params,
)
from lstm_jax.interop.weights import (
    RecurrentWeights,
    cell_of,
    hidden_size_of,
    require_only,
    require_shape,
    to_jax,
)
from lstm_jax.recurrence import scan

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


class OnnxNode(NamedTuple):
    """What an ONNX node of a recurrent layer is made of.

    Attributes:
      op_type: "LSTM", "GRU" or "RNN".
      attributes: names to values, as `onnx.helper.make_node` takes them.
      weights: the arrays W, R, B, and P with peepholes.
    """

    op_type: str
    attributes: dict[str, Any]
    weights: dict[str, np.ndarray]


def from_onnx(
    op_type: str, attributes: Mapping[str, Any], weights: Mapping[str, Any]
) -> RecurrentWeights:
    """One layer of our weights from a node's arrays; run a `reverse` one with `reverse=True`.

    ONNX adds up two biases; our LSTM, RNN and GRU without `linear_before_reset` have their sum.

    >>> arrays = {"W": np.ones((1, 8, 3), "f"), "R": np.ones((1, 8, 2), "f")}
    >>> from_onnx("LSTM", {"hidden_size": 2}, arrays).layers[0][0]["kernel"].shape
    (3, 8)

    Args:
      op_type: "LSTM", "GRU" or "RNN".
      attributes: those of the node, by name.
      weights: the arrays W and R, and if the node has them B and P.

    Raises:
      ValueError: an attribute or shape does not fit, or the node clips or has activations that
        our cells do not have (`import_node` runs those too).
    """
    options = options_of(op_type, attributes, weights)
    if not options.is_ours:
        raise ValueError(
            f"no cell of ours has activations {options.activations} and clip {options.clip}; "
            "import_node runs them"
        )
    arrays = arrays_of(options, weights)
    params = tuple(
        read_params(options, arrays, d, options.input_forget) for d in range(options.directions)
    )
    activation = options.activations[0].lower() if options.kind == "rnn" else "tanh"
    return RecurrentWeights.of(options.kind, [params], activation)


def to_onnx(weights: RecurrentWeights) -> list[OnnxNode]:
    """A node a layer. The biases stand whole in the first half of B (a GRU's in both).

    Between two layers Y [time, direction, batch, hidden] is to be transposed to [time, batch,
    direction, hidden] and reshaped to [time, batch, direction * hidden].

    >>> import lstm_jax as lj, jax
    >>> params = lj.lstm(hidden_size=2).init(jax.random.key(0), 3)
    >>> node = to_onnx(RecurrentWeights.of("lstm", params))[0]
    >>> node.op_type, node.weights["W"].shape
    ('LSTM', (1, 8, 3))

    Raises:
      ValueError: ONNX has no place for a parameter; it is named.
    """
    op_type = {kind: name for name, kind in KINDS.items()}[weights.kind]
    nodes = []
    for directions in weights.layers:
        first = directions[0]
        attributes: dict[str, Any] = {
            "hidden_size": hidden_size_of(first),
            "direction": "bidirectional" if len(directions) == 2 else "forward",
        }
        if weights.kind == "gru":
            attributes["linear_before_reset"] = int(first["bias"].ndim == 2)
        if weights.kind == "rnn":
            attributes["activations"] = [weights.activation.capitalize()] * len(directions)
        if is_coupled(weights.kind, first):
            attributes["input_forget"] = 1
        written = [write_params(weights.kind, params) for params in directions]
        stacked = {name: np.stack([one[name] for one in written]) for name in written[0]}
        nodes.append(OnnxNode(op_type, attributes, stacked))
    return nodes


def import_node(
    op_type: str, attributes: Mapping[str, Any], weights: Mapping[str, Any]
) -> Callable[..., tuple[Array, ...]]:
    """A function that computes what the node computes, by our cells and `scan`.

    It takes X, and if wanted `sequence_lens`, `initial_h` and `initial_c`, in the layout of the
    node, and returns Y, Y_h and, of an LSTM, Y_c. What is behind the end of a sequence is zero.

    >>> arrays = {"W": np.ones((1, 8, 3), "f"), "R": np.ones((1, 8, 2), "f")}
    >>> run = import_node("LSTM", {"hidden_size": 2}, arrays)
    >>> [output.shape for output in run(np.ones((5, 4, 3), "f"))]
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

    >>> inputs = [np.ones((5, 4, 3), "f"), np.ones((1, 2, 3), "f"), np.ones((1, 2, 2), "f")]
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
    weights = {name: given[name] for name in "WRBP" if name in given}
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
