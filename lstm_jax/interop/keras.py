"""Weights of keras.layers.LSTM, GRU and SimpleRNN, in and out; keras need not be installed."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Params
from lstm_jax.interop.weights import (
    GATES,
    Kind,
    RecurrentWeights,
    map_layers,
    require_plain,
    to_jax,
    to_numpy,
)

CELLS: dict[str, Kind] = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}


def from_keras(*layers: Any, reset_after: bool = True) -> RecurrentWeights:
    """The weights of Keras layers, the first nearest to the input.

    Keras and this library share names, shapes and the order of gates; a layer without bias gets
    a bias of zeros.

    >>> kernel, recurrent_kernel = np.ones((3, 8), "f"), np.ones((2, 8), "f")
    >>> from_keras([kernel, recurrent_kernel]).kind
    'lstm'

    Args:
      *layers: each a layer (LSTM, GRU, SimpleRNN, or Bidirectional around one) or what its
        `get_weights()` gives.
      reset_after: of a GRU without bias, whether the reset gate stands behind the recurrent
        product (Keras's default); the bias of any other tells by its shape.

    Raises:
      ValueError: a layer computes something else than our cells, or a shape does not fit.
    """
    if not layers:
        raise ValueError("from_keras needs at least one layer")
    read, kinds, activations = [], set(), set()
    for number, layer in enumerate(layers):
        activation, after, weights = _open(layer, reset_after)
        arrays = [to_jax(f"layer {number}, weight {i}", w) for i, w in enumerate(weights)]
        if len(arrays) not in (2, 3, 4, 6):
            raise ValueError(
                f"layer {number} has {len(arrays)} weights; a Keras layer has 2 (without bias) "
                "or 3, a bidirectional one 4 or 6"
            )
        count = len(arrays) if len(arrays) < 4 else len(arrays) // 2
        directions = [arrays[i : i + count] for i in range(0, len(arrays), count)]
        kind = _kind(number, directions[0])
        kinds.add(kind)
        activations.add(activation)
        read.append(tuple(_params(kind, one, after) for one in directions))
    if len(kinds) > 1 or len(activations) > 1:
        raise ValueError(
            f"layers must be of one kind and activation, got {sorted(kinds)}, {sorted(activations)}"
        )
    return RecurrentWeights.of(kinds.pop(), read, activations.pop())


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


def _open(layer: Any, reset_after: bool) -> tuple[str, bool, Sequence[Any]]:
    """The activation, the place of the reset gate and the weights of a layer."""
    if isinstance(layer, Sequence):
        return "tanh", reset_after, layer
    inner = getattr(layer, "forward_layer", layer)
    kind = CELLS.get(type(inner).__name__)
    if kind is None:
        raise ValueError(f"a layer must be one of {', '.join(CELLS)}, got {type(inner).__name__}")
    activation = inner.activation.__name__
    allowed = ("tanh", "relu") if kind == "rnn" else ("tanh",)
    if activation not in allowed:
        raise ValueError(f"activation must be {' or '.join(allowed)}, got {activation}")
    gates = getattr(inner, "recurrent_activation", None)
    if gates is not None and gates.__name__ != "sigmoid":
        raise ValueError(f"recurrent_activation must be sigmoid, got {gates.__name__}")
    return activation, getattr(inner, "reset_after", True), layer.get_weights()


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
