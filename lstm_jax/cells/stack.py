"""Layers of cells as one cell."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.cells.initializers import glorot_uniform

Connection = Literal["none", "residual", "highway", "dense"]


def stack(cells: Sequence[Any], *, dropout: float = 0.0, connection: Connection = "none") -> Any:
    """Cells on top of each other: the output of one is the input of the next.

    A stack of cells is a `Cell`; one that holds a `SequenceMap` is a `SequenceMap`.

    Between layers, with x the input of a layer and H(x) its output:

        residual    x + H(x)                                     where the sizes agree
        highway     t * H(x) + (1 - t) * x,  t = sigmoid(W x + b)   (arXiv 1505.00387)
        dense       [x, H(x)] above it; the stack yields all layers' outputs   (arXiv 1608.06993)

    `scan` runs layer after layer over all time steps, so that each has the fastest backend it can.
    Params: `layer_0`, `layer_1`, ...; the carry is a tuple by layer.

    >>> import lstm_jax as lj
    >>> cell = stack([lj.lstm(8), lj.lstm(8)], connection="residual")
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((5, 2, 3)))
    >>> len(carry), ys.shape
    (2, (5, 2, 8))

    Args:
      cells: the layers, the first one nearest to the input.
      dropout: share of the activations dropped between layers; only where a key is given.
      connection: what goes around a layer.

    Raises:
      ValueError: there is no cell, or the dropout is not in [0, 1).
    """
    cells = tuple(cells)
    if not cells:
        raise ValueError("stack needs at least one cell")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")

    def init(key: Array, input_size: int) -> Params:
        params = {}
        for name, cell, layer_key in zip(_names(cells), cells, _split(key, cells), strict=True):
            params[name] = cell.init(layer_key, input_size)
            if connection == "highway" and input_size == cell.output_size:
                params[name] |= _init_highway(layer_key, input_size)
            below = input_size if connection == "dense" else 0
            input_size = below + cell.output_size
        return params

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> Carry:
        return tuple(
            cell.initial_carry(params[name], batch_shape)
            for name, cell in zip(_names(cells), cells, strict=True)
        )

    def run(layer: Any, params: Params, carry: Carry, x: Array, key: Array | None) -> Any:
        carries = []
        keys = _split(key, cells)
        features = x.shape[-1]
        for i, (name, cell) in enumerate(zip(_names(cells), cells, strict=True)):
            if i:
                x = _drop(keys[i], x, dropout)
            own = None if carry is None else carry[i]
            new, y = layer(cell, params[name], own, x, keys[i])
            carries.append(new)
            x = _connect(connection, params[name], x, y)
        # What leaves a dense stack is what its layers made, without the input below them.
        return tuple(carries), x[..., features:] if connection == "dense" else x

    def step(params: Params, carry: Carry, x: Array, key: Array | None = None) -> Any:
        return run(_one_step, params, carry, x, key)

    def over_time(scan: Any, params: Params, carry: Carry, xs: Array, key: Array | None) -> Any:
        def layer(cell: Cell, params: Params, carry: Carry, xs: Array, key: Array | None) -> Any:
            return scan(cell, params, carry, xs, key=key)

        return run(layer, params, carry, xs, key)

    sizes = [cell.output_size for cell in cells]
    output_size = sum(sizes) if connection == "dense" else sizes[-1]
    input_axes = cells[0].input_axes
    steps = [cell for cell in cells if isinstance(cell, Cell)]
    if len(steps) < len(cells):
        return SequenceMap(init, initial_carry, over_time, output_size, input_axes)
    stochastic = dropout > 0 or any(cell.stochastic for cell in steps)
    made = Cell(init, initial_carry, step, output_size, over_time=over_time)
    return made._replace(stochastic=stochastic, input_axes=input_axes)


def _one_step(cell: Cell, params: Params, carry: Carry, x: Array, key: Array | None) -> Any:
    return cell.step(params, carry, x, *([key] if cell.stochastic else []))


def _names(cells: Sequence[Cell]) -> list[str]:
    return [f"layer_{i}" for i in range(len(cells))]


def _split(key: Array | None, cells: Sequence[Cell]) -> Any:
    return [None] * len(cells) if key is None else jax.random.split(key, len(cells))


def _drop(key: Array | None, x: Array, rate: float) -> Array:
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)


def _connect(connection: Connection, params: Params, x: Array, y: Array) -> Array:
    if connection == "dense":
        return jnp.concatenate([x, y], axis=-1)
    if connection == "none" or x.shape != y.shape:
        return y
    if connection == "residual":
        return x + y
    gate = jax.nn.sigmoid(x @ params["highway_kernel"] + params["highway_bias"])
    return gate * y + (1 - gate) * x


def _init_highway(key: Array, size: int) -> Params:
    # A negative bias lets the input through at the start, as the paper advises.
    kernel = glorot_uniform(jax.random.fold_in(key, 2), (size, size))
    return {"highway_kernel": kernel, "highway_bias": jnp.full(size, -1.0)}
