"""Layers and directions of recurrent cells: as one network for `scan`, and back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

from lstm_jax.cells import Cell, Params, SequenceMap, bidirectional, lstm, stack
from lstm_jax.cells.gru import gru
from lstm_jax.cells.rnn import rnn

Kind = Literal["lstm", "gru", "rnn"]
Merge = Literal["concat", "sum", "mean"]
Layers = tuple[tuple[Params, ...], ...]  # layer by layer, each a tuple of directions


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


def hidden_size_of(params: Params) -> int:
    """Number of units; of an LSTM with a projection, of memory cells."""
    return params.get("projection_kernel", params["recurrent_kernel"]).shape[0]


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


def network_of(
    kind: Kind, layers: Layers, activation: str, merge: Merge
) -> tuple[Cell | SequenceMap, Params]:
    """What runs all layers and directions, and its params.

    As one would write it: the cell itself, `bidirectional` around two, `stack` around layers.
    """
    cells = map_layers(lambda params: cell_of(kind, params, activation), layers)
    made = [one[0] if len(one) == 1 else bidirectional(*one, merge=merge) for one in cells]
    params = [
        one[0] if len(one) == 1 else {"forward": one[0], "backward": one[1]} for one in layers
    ]
    if len(layers) == 1:
        return made[0], params[0]
    return stack(made), {f"layer_{i}": one for i, one in enumerate(params)}


def layers_of_network(params: Any) -> Layers:
    """The layers in params of a cell, of `bidirectional` cells, or of a `stack` of either.

    Raises:
      ValueError: a name between the layers or directions is missing or unknown.
    """
    if not isinstance(params, Mapping):
        return layers_of(params)
    if "layer_0" not in params:
        return (_directions("the params", params),)
    names = [f"layer_{i}" for i in range(len(params))]
    if unknown := sorted(params.keys() - set(names)):
        raise ValueError(f"a plain stack has layer_0, layer_1, ... alone, got also {unknown[0]}")
    return tuple(_directions(name, params[name]) for name in names)


def _directions(where: str, params: Mapping[str, Any]) -> tuple[Params, ...]:
    if "forward" not in params and "backward" not in params:
        return (params,)
    if params.keys() != {"forward", "backward"}:
        raise ValueError(f"{where} must hold forward and backward, got {sorted(params)}")
    return params["forward"], params["backward"]
