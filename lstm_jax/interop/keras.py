"""Weights of keras.layers.LSTM, GRU and SimpleRNN, in and out; keras need not be installed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Params
from lstm_jax.interop.arrays import to_jax, to_numpy
from lstm_jax.interop.checks import GATES, require_axes, require_plain
from lstm_jax.interop.layers import Kind, Merge, map_layers
from lstm_jax.interop.weights import RecurrentWeights

CELLS: dict[str, Kind] = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
MERGES: dict[str, Merge] = {"concat": "concat", "sum": "sum", "ave": "mean"}


class _Layer(NamedTuple):
    """What a layer computes, and its arrays."""

    activation: str
    reset_after: bool
    arrays: Sequence[Any]
    merge: Merge | None  # None for one direction, which goes with any


def from_keras(
    *layers: Any, reset_after: bool = True, activation: str = "tanh"
) -> RecurrentWeights:
    """The weights of Keras layers, the first nearest to the input.

    Keras and this library share names, shapes and the order of gates; a layer without bias gets
    a bias of zeros. A whole `keras.Sequential` of recurrent layers is `from_keras(*model.layers)`.

    >>> kernel, recurrent_kernel = np.ones((3, 8), "f"), np.ones((2, 8), "f")
    >>> from_keras([kernel, recurrent_kernel]).kind
    'lstm'

    Args:
      *layers: each a layer (LSTM, GRU, SimpleRNN, or Bidirectional around one) or what its
        `get_weights()` gives.
      reset_after: of the arrays of a GRU without bias, whether the reset gate stands behind the
        recurrent product (Keras's default); the bias of any other tells by its shape.
      activation: of the arrays of a SimpleRNN, "tanh" or "relu": they do not tell.

    Raises:
      ValueError: a layer computes something else than our cells, or a shape does not fit.
    """
    if not layers:
        raise ValueError("from_keras needs at least one layer")
    given = (activation, reset_after)
    opened = [_open(number, layer, given) for number, layer in enumerate(layers)]
    kinds, read = set(), []
    for number, layer in enumerate(opened):
        directions = _directions(number, layer.arrays)
        kind = _kind(number, directions[0])
        kinds.add(kind)
        read.append(tuple(_params(kind, one, layer.reset_after) for one in directions))
    activations = {layer.activation for layer in opened}
    merges: set[Merge] = {layer.merge for layer in opened if layer.merge is not None}
    for name, values in (("kind", kinds), ("activation", activations), ("merge_mode", merges)):
        if len(values) > 1:
            raise ValueError(f"layers must be of one {name}, got {', '.join(sorted(values))}")
    merge = merges.pop() if merges else "concat"
    return RecurrentWeights.of(kinds.pop(), read, activations.pop(), merge)


def to_keras(weights: RecurrentWeights) -> list[list[np.ndarray]]:
    """For each layer what its `set_weights` takes; a bidirectional layer forwards, then backwards.

    >>> layer = [np.ones((3, 8), "f"), np.ones((2, 8), "f"), np.zeros(8, "f")]
    >>> [array.shape for array in to_keras(from_keras(layer))[0]]
    [(3, 8), (2, 8), (8,)]

    Raises:
      ValueError: Keras's layers cannot hold a parameter; it is named.
    """
    names = ("kernel", "recurrent_kernel", "bias")

    def write(params: Params) -> list[np.ndarray]:
        require_plain(weights.kind, params, "a Keras layer")
        return [to_numpy(params[name]) for name in names]

    return [
        [array for direction in directions for array in direction]
        for directions in map_layers(write, weights.layers)
    ]


def _open(number: int, layer: Any, given: tuple[str, bool]) -> _Layer:
    """What a layer computes, if it is something that a cell of ours computes too."""
    if isinstance(layer, Sequence):
        return _Layer(*given, layer, None)
    where = f"layer {number}"
    if not hasattr(layer, "forward_layer"):
        if getattr(layer, "go_backwards", False):
            raise ValueError(
                f"{where} has go_backwards; give its get_weights(), and scan with reverse=True"
            )
        return _Layer(*_computes(where, layer), layer.get_weights(), None)
    one, other = layer.forward_layer, layer.backward_layer
    computed = _computes(where, one)
    if type(one) is not type(other) or computed != _computes(where, other) or one.go_backwards:
        raise ValueError(f"{where}: the directions must be alike, and the first one forwards")
    if layer.merge_mode not in MERGES:
        allowed = ", ".join(MERGES)
        raise ValueError(f"{where}: merge_mode must be one of {allowed}, got {layer.merge_mode}")
    return _Layer(*computed, layer.get_weights(), MERGES[layer.merge_mode])


def _computes(where: str, layer: Any) -> tuple[str, bool]:
    """The activation of a layer and, of a GRU, the place of its reset gate."""
    kind = CELLS.get(type(layer).__name__)
    if kind is None:
        raise ValueError(f"{where} must be one of {', '.join(CELLS)}, got {type(layer).__name__}")
    activation = layer.activation.__name__
    allowed = ("tanh", "relu") if kind == "rnn" else ("tanh",)
    if activation not in allowed:
        raise ValueError(f"{where}: activation must be {' or '.join(allowed)}, got {activation}")
    gates = getattr(layer, "recurrent_activation", None)
    if gates is not None and gates.__name__ != "sigmoid":
        raise ValueError(f"{where}: recurrent_activation must be sigmoid, got {gates.__name__}")
    return activation, getattr(layer, "reset_after", True)


def _directions(number: int, weights: Sequence[Any]) -> list[list[Array]]:
    """The arrays of one direction or of two."""
    arrays = [to_jax(f"layer {number}, weight {i}", w) for i, w in enumerate(weights)]
    if len(arrays) not in (2, 3, 4, 6):
        raise ValueError(
            f"layer {number} has {len(arrays)} weights; a Keras layer, once built, has 2 (without "
            "bias) or 3, a bidirectional one 4 or 6"
        )
    count = len(arrays) if len(arrays) < 4 else len(arrays) // 2
    directions = [arrays[i : i + count] for i in range(0, len(arrays), count)]
    for direction in directions:
        for name, values in zip(("kernel", "recurrent_kernel"), direction, strict=False):
            require_axes(f"layer {number}, {name}", values, 2)
    return directions


def _kind(number: int, arrays: Sequence[Any]) -> Kind:
    columns, hidden_size = arrays[0].shape[-1], arrays[1].shape[0]
    for kind, gates in GATES.items():
        if columns == gates * hidden_size:
            return kind
    raise ValueError(
        f"layer {number}: the kernel has {columns} columns for hidden size {hidden_size}: "
        "the number of gates must be 4 (LSTM), 3 (GRU) or 1 (SimpleRNN)"
    )


def _params(kind: Kind, arrays: Sequence[Any], reset_after: bool) -> Params:
    kernel, recurrent_kernel, *rest = arrays
    columns = kernel.shape[-1]
    shape = (2, columns) if kind == "gru" and reset_after else (columns,)
    bias = rest[0] if rest else jnp.zeros(shape, kernel.dtype)
    return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
