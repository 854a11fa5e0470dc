"""The weights of a recurrent network, as they stand between two libraries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array, Cell, Params, lstm
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn

Kind = Literal["lstm", "gru", "rnn"]
GATES: dict[Kind, int] = {"lstm": 4, "gru": 3, "rnn": 1}


class RecurrentWeights(NamedTuple):
    """Layers of recurrent cells, each a tuple of directions, each the params of one of our cells.

    >>> import lstm_jax as lj
    >>> params = lj.lstm(hidden_size=3).init(jax.random.key(0), input_size=2)
    >>> weights = RecurrentWeights.of("lstm", params)
    >>> weights.hidden_size, weights.num_layers, weights.bidirectional
    (3, 1, False)
    >>> carry, ys = lj.scan(weights.cell(), weights.layers[0][0], None, jnp.ones((5, 2)))
    >>> ys.shape
    (5, 3)

    Attributes:
      kind: "lstm", "gru" or "rnn".
      layers: `layers[layer][direction]` are params; direction 0 reads forwards, 1 backwards.
      activation: of an "rnn", "tanh" or "relu"; the other kinds have it fixed.
    """

    kind: Kind
    layers: tuple[tuple[Params, ...], ...]
    activation: str = "tanh"

    @classmethod
    def of(
        cls, kind: Kind, params: Params | Sequence[Sequence[Params]], activation: str = "tanh"
    ) -> "RecurrentWeights":
        """Checked weights from the params of one cell, or from `layers`.

        Raises:
          ValueError: a kind, a name or a shape that does not fit; the message says where it is.
        """
        if kind not in GATES:
            raise ValueError(f"kind must be one of {', '.join(GATES)}, got {kind!r}")
        layers = layers_of(params)
        for layer, directions in enumerate(layers):
            for direction, one in enumerate(directions):
                _check(kind, one, f"layer {layer}, direction {direction}")
        return cls(kind, layers, activation)

    @property
    def hidden_size(self) -> int:
        """Number of units of a layer, in one direction; of an LSTM, of memory cells."""
        return hidden_size_of(self.layers[0][0])

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def bidirectional(self) -> bool:
        """Whether layers read in both directions."""
        return len(self.layers[0]) == 2

    @property
    def projection_size(self) -> int | None:
        """Size of the projected hidden state of an LSTM, None without a projection."""
        projection = self.layers[0][0].get("projection_kernel")
        return None if projection is None else projection.shape[-1]

    def cell(self) -> Cell:
        """The cell that runs these params; layers of other sizes have cells of their own."""
        return cell_of(self.kind, self.layers[0][0], self.activation)


def layers_of(params: Any) -> tuple[tuple[Any, ...], ...]:
    """Layers of directions; what is no sequence is one layer that reads in one direction."""
    if not isinstance(params, Sequence):
        return ((params,),)
    if not params or not all(isinstance(one, Sequence) and len(one) in (1, 2) for one in params):
        raise ValueError("layers must be a sequence of layers, each of one or two directions")
    return tuple(tuple(directions) for directions in params)


def map_layers(
    function: Callable[[Any], Any], layers: Sequence[Sequence[Any]]
) -> tuple[tuple[Any, ...], ...]:
    """The function of each cell, in the same layers and directions."""
    return tuple(tuple(function(one) for one in directions) for directions in layers)


def to_jax(name: str, values: Any) -> Array:
    """An array of the same floating type, which jax keeps.

    Raises:
      ValueError: jax would hold the values less precisely, or they are no floating numbers.
    """
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} must hold floating-point numbers, got {array.dtype}")
    if array.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
        raise ValueError(
            f"{name} is float64, which jax holds only with jax_enable_x64; "
            "make it float32 first if that is precise enough"
        )
    return jnp.asarray(array)


def to_numpy(values: Any) -> np.ndarray:
    """A copy that may be written to, row by row in memory, as other libraries want it."""
    return np.array(values, order="C")


def require_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError, with the name and both shapes, if the shape is another."""
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(array.shape)}")


def reorder(array: Any, order: Sequence[int], axis: int = -1) -> Any:
    """The equal blocks of an axis (the gates) in another order: block i is `order[i]` of old."""
    blocks = jnp.split(jnp.asarray(array), len(order), axis=axis)
    return jnp.concatenate([blocks[i] for i in order], axis=axis)


def hidden_size_of(params: Params) -> int:
    """Number of units; of an LSTM with a projection, of memory cells."""
    return params.get("projection_kernel", params["recurrent_kernel"]).shape[0]


def require_only(given: Mapping[str, Any], names: set[str], target: str, *optional: str) -> None:
    """Raises ValueError if a name is missing, or one more is there than the target holds."""
    if missing := sorted(names - given.keys()):
        raise ValueError(f"{missing[0]} is missing")
    if more := sorted(given.keys() - names - set(optional)):
        raise ValueError(f"{target} cannot hold {more[0]}")


def require_plain(kind: Kind, params: Params, target: str, *optional: str) -> None:
    """Raises ValueError, with what is too much, if the target knows only the plain cell."""
    require_only(params, {"kernel", "recurrent_kernel", "bias"}, target, *optional)
    if params["kernel"].shape[-1] != GATES[kind] * hidden_size_of(params):
        raise ValueError(f"{target} cannot hold an LSTM with coupled_gates")


def cell_of(kind: Kind, params: Params, activation: str = "tanh") -> Cell:
    """The cell whose params these are; options are read off their names and shapes."""
    hidden_size = hidden_size_of(params)
    if kind == "gru":
        return gru(hidden_size, reset_after=params["bias"].ndim == 2)
    if kind == "rnn":
        return rnn(hidden_size, activation=cast(Any, activation))
    return lstm(
        hidden_size,
        peepholes="peephole_kernel" in params,
        coupled_gates=params["kernel"].shape[-1] == 3 * hidden_size,
        projection_size=params["projection_kernel"].shape[-1]
        if "projection_kernel" in params
        else None,
        layer_norm="cell_norm" in params,
        learn_initial_carry="initial_cell" in params,
    )


def _check(kind: Kind, params: Params, where: str) -> None:
    """Raises ValueError if a name is missing or a shape does not fit the others."""
    for name in ("kernel", "recurrent_kernel", "bias"):
        if name not in params:
            raise ValueError(f"{where}: {name} is missing")
    kernel, recurrent_kernel, bias = (params[n] for n in ("kernel", "recurrent_kernel", "bias"))
    hidden_size = output_size = hidden_size_of(params)
    if "projection_kernel" in params:
        output_size = params["projection_kernel"].shape[-1]
    columns = kernel.shape[-1]
    coupled = kind == "lstm" and columns == 3 * hidden_size
    if columns != GATES[kind] * hidden_size and not coupled:
        raise ValueError(
            f"{where}: kernel must have {GATES[kind]} gates of {hidden_size} columns for "
            f"{kind}, got shape {kernel.shape}"
        )
    require_shape(f"{where}: recurrent_kernel", recurrent_kernel, (output_size, columns))
    two_biases = kind == "gru" and bias.ndim == 2
    require_shape(f"{where}: bias", bias, (2, columns) if two_biases else (columns,))
