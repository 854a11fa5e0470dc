"""Weights of LSTM, GRU and RNN nodes of ONNX, in and out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.cells import Params
from lstm_jax.interop.files import inside, require_file
from lstm_jax.interop.layers import Kind, hidden_size_of
from lstm_jax.interop.onnx_node import (
    INPUTS,
    KINDS,
    WEIGHTS,
    arrays_of,
    is_coupled,
    options_of,
    read_params,
    write_params,
)
from lstm_jax.interop.weights import RecurrentWeights


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


def from_onnx(*nodes: Any) -> RecurrentWeights:
    """Our weights from the arrays of nodes, the first nearest to the input, a layer each.

    ONNX adds up two biases; our LSTM, RNN and GRU without `linear_before_reset` have their sum.
    `direction="reverse"` and `layout=1` say how to run, not what the weights are: nodes of that
    direction are run by `lstm_jax.scan` with `reverse=True`.

    >>> arrays = {"W": np.ones((1, 8, 3), "f"), "R": np.ones((1, 8, 2), "f")}
    >>> from_onnx(("LSTM", {"hidden_size": 2}, arrays)).layers[0][0]["kernel"].shape
    (3, 8)

    Args:
      *nodes: each an `OnnxNode`, as `read_onnx` or `to_onnx` gives it, or a tuple of the same:
        op_type; attributes by name; the arrays W and R, and if the node has them B and P.

    Raises:
      ValueError: an attribute or shape does not fit, the nodes differ in kind, or one clips or
        has activations that our cells do not have (`import_node` runs those too).
    """
    if not nodes:
        raise ValueError("from_onnx needs at least one node")
    read = [_read(number, OnnxNode(*node)) for number, node in enumerate(nodes)]
    for name, *values in zip(("kind", "activation", "direction"), *read, strict=False):
        different = sorted(set(values))
        if len(different) > 1 and (name != "direction" or "reverse" in different):
            raise ValueError(f"nodes must agree in {name}, got {', '.join(different)}")
    kind, activation = read[0][:2]
    return RecurrentWeights.of(kind, [params for *_, params in read], activation)


def read_onnx(model: Any) -> dict[str, OnnxNode]:
    """The recurrent nodes of an ONNX model by their names, in the order in which they compute.

    `from_onnx(*read_onnx("model.onnx").values())` has the weights of all, if one node feeds the
    next; initial states are not among them. Needs the package onnx.

    Args:
      model: a path, or what `onnx.load` gives. A node without a name is called by its type and
        place, as "LSTM_0".

    Raises:
      ValueError: the model has no such node, or computes an array of one instead of storing it.
    """
    onnx = _import_onnx()
    from_file = isinstance(model, (str, os.PathLike))
    graph = (_load(onnx, model) if from_file else model).graph
    stored = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    nodes = {}
    for place, node in enumerate(one for one in graph.node if one.op_type in KINDS):
        name = node.name or f"{node.op_type}_{place}"
        weights = {}
        for array, source in zip(INPUTS, node.input, strict=False):
            if array in WEIGHTS and source:
                if source not in stored:
                    raise ValueError(f"{name}: {array} is computed by the model, not stored in it")
                folder = Path(model).parent if from_file else Path()
                weights[array] = _array(onnx, f"{name}: {array}", stored[source], folder)
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        nodes[name] = OnnxNode(node.op_type, attributes, weights)
    if not nodes:
        raise ValueError(f"the model has no node {', '.join(KINDS)}")
    return nodes


def _load(onnx: Any, path: str | os.PathLike) -> Any:
    """The model of a file, without the arrays that stand in others."""
    content = require_file(path).read_bytes()
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, which is no ValueError
        raise ValueError(f"{os.fspath(path)} cannot be read as an ONNX model ({error})") from error


def _array(onnx: Any, where: str, tensor: Any, folder: Path) -> np.ndarray:
    """A stored array, which may stand in another file of the model's folder."""
    try:
        if any(size < 0 for size in tensor.dims):
            raise ValueError(f"shape {(*tensor.dims,)}")
        for entry in tensor.external_data:
            if entry.key == "location":
                inside(folder, entry.value)
        return onnx.numpy_helper.to_array(tensor, str(folder))
    except Exception as error:  # of a type or size that is none, and the checks of onnx itself
        raise ValueError(f"{where} cannot be read ({error})") from error


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("reading a model needs the package onnx: pip install onnx") from error
    return onnx


def _read(number: int, node: OnnxNode) -> tuple[Kind, str, str, tuple[Params, ...]]:
    """The kind, activation, direction and params of one node that computes what our cells do."""
    try:
        options = options_of(*node)
        arrays = arrays_of(options, node.weights)
    except ValueError as error:
        raise ValueError(f"node {number}: {error}") from error
    if not options.is_ours:
        raise ValueError(
            f"node {number}: no cell of ours has activations {options.activations} and "
            f"clip {options.clip}; import_node runs them"
        )
    params = tuple(
        read_params(options, arrays, d, options.input_forget) for d in range(options.directions)
    )
    activation = options.activations[0].lower() if options.kind == "rnn" else "tanh"
    return options.kind, activation, options.direction, params


def to_onnx(weights: RecurrentWeights, *, reverse: bool = False) -> list[OnnxNode]:
    """A node a layer. The biases stand whole in the first half of B (a GRU's in both).

    Between two layers Y [time, direction, batch, hidden] is to be transposed to [time, batch,
    direction, hidden] and reshaped to [time, batch, direction * hidden].

    >>> import lstm_jax as lj, jax
    >>> params = lj.lstm(hidden_size=2).init(jax.random.key(0), 3)
    >>> node = to_onnx(RecurrentWeights.of("lstm", params))[0]
    >>> node.op_type, node.weights["W"].shape
    ('LSTM', (1, 8, 3))

    Args:
      weights: what to write.
      reverse: whether layers of one direction read from the last step to the first.

    Raises:
      ValueError: ONNX has no place for a parameter; it is named.
    """
    op_type = {kind: name for name, kind in KINDS.items()}[weights.kind]
    nodes = []
    for layer, directions in enumerate(weights.layers):
        first = directions[0]
        if len(directions) == 2 and reverse:
            raise ValueError(f"reverse: layer {layer} reads in both directions already")
        _require_alike(layer, directions)
        one_way = "reverse" if reverse else "forward"
        attributes: dict[str, Any] = {
            "hidden_size": hidden_size_of(first),
            "direction": "bidirectional" if len(directions) == 2 else one_way,
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


def _require_alike(layer: int, directions: Sequence[Params]) -> None:
    """Raises ValueError if two directions cannot stand in one node."""
    shapes = [{name: np.shape(one) for name, one in params.items()} for params in directions]
    if shapes[0] != shapes[-1]:
        raise ValueError(f"layer {layer}: a node of ONNX needs directions alike, got {shapes}")
