"""What must fit of weights, and the sentence that says what does not."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lstm_jax.cells import Params
from lstm_jax.interop.layers import Kind, Layers, Merge, cell_of, hidden_size_of

GATES: dict[Kind, int] = {"lstm": 4, "gru": 3, "rnn": 1}


def require_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError, with the name and both shapes, if the shape is another."""
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(array.shape)}")


def require_axes(name: str, array: Any, axes: int) -> None:
    """Raises ValueError, with the name and the shape, if the number of axes is another."""
    if np.ndim(array) != axes:
        raise ValueError(f"{name} must have {axes} axes, got shape {tuple(np.shape(array))}")


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


def check_params(kind: Kind, params: Params, where: str) -> None:
    """Raises ValueError if these are not params of a cell of ours; it says what does not fit."""
    for name in ("kernel", "recurrent_kernel", "bias"):
        if name not in params:
            raise ValueError(f"{where}: {name} is missing")
    for name in ("kernel", "recurrent_kernel", "projection_kernel"):
        if name in params:
            require_axes(f"{where}: {name}", params[name], 2)
    hidden_size, (rows, columns) = hidden_size_of(params), params["kernel"].shape
    coupled = kind == "lstm" and columns == 3 * hidden_size
    if columns != GATES[kind] * hidden_size and not coupled:
        raise ValueError(
            f"{where}: kernel must have {GATES[kind]} gates of {hidden_size} columns for "
            f"{kind}, got shape {(rows, columns)}"
        )
    init = cell_of(kind, params).init
    expected = jax.eval_shape(lambda key: init(key, rows), jax.random.key(0))
    _check_names(kind, f"{where}: ", params, expected)


def _check_names(kind: Kind, where: str, params: Params, expected: Params) -> None:
    if missing := sorted(expected.keys() - params.keys()):
        raise ValueError(f"{where}{missing[0]} is missing")
    if unknown := sorted(params.keys() - expected.keys()):
        raise ValueError(f"{where}{unknown[0]} is no parameter of our {kind} with these others")
    for name, one in expected.items():
        if isinstance(one, Mapping):
            _check_names(kind, f"{where}{name}.", params[name], one)
        else:
            require_shape(where + name, params[name], one.shape)


def check_sizes(layers: Layers, merge: Merge) -> None:
    """Raises ValueError if a layer does not take what the one below it gives."""
    inputs = layers[0][0]["kernel"].shape[0]
    for layer, directions in enumerate(layers):
        for direction, params in enumerate(directions):
            if params["kernel"].shape[0] != inputs:
                below = f"layer {layer - 1} gives" if layer else "direction 0 reads"
                raise ValueError(
                    f"layer {layer}, direction {direction}: kernel must have {inputs} rows, "
                    f"as {below} {inputs} features; got shape {params['kernel'].shape}"
                )
        outputs = [params["recurrent_kernel"].shape[0] for params in directions]
        if merge != "concat" and len(set(outputs)) > 1:
            raise ValueError(f"layer {layer}: merge={merge} needs one size, got {outputs}")
        inputs = sum(outputs) if merge == "concat" else outputs[0]
