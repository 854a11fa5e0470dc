"""Layers of cells as one cell."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.cells.checks import require_choices, require_rates
from lstm_jax.cells.initializers import glorot_uniform
from lstm_jax.cells.noisy_cells import noisy_step

Connection = Literal["none", "residual", "highway", "dense"]


def stack(cells: Sequence[Any], *, dropout: float = 0.0, connection: Connection = "none") -> Any:
    """Cells on top of each other: the output of one is the input of the next.

    A stack of cells is a `Cell`; one that holds a `SequenceMap` is a `SequenceMap`.

    Between layers, with x the input of a layer and H(x) its output:

        residual    x + H(x)                                     where the sizes agree
        highway     t * H(x) + (1 - t) * x,  t = sigmoid(W x + b)   (arXiv 1505.00387)
        dense       [x, H(x)] above it; the stack yields all layers' outputs   (arXiv 1608.06993)

    `scan` runs layer after layer over all time steps, so that each has the fastest backend it can.
    Params: `layer_0`, `layer_1`, ...; around layer 1 a highway has `highway_1`, with `kernel` W
    [output, output] and `bias` b [output]. The carry is a tuple by layer.

    >>> import lstm_jax as lj
    >>> cell = stack([lj.lstm(8), lj.lstm(8)], connection="residual")
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((5, 2, 3)))
    >>> len(carry), ys.shape
    (2, (5, 2, 8))

    Args:
      cells: the layers, the first one nearest to the input.
      dropout: share of what a layer reads of the one below that is dropped; only where a key is
        given.
      connection: what goes around a layer.

    Raises:
      ValueError: there is no cell or no such connection, or the dropout is not in [0, 1).
    """
    cells = tuple(cells)
    if not cells:
        raise ValueError("stack needs at least one cell")
    require_rates(dropout=dropout)
    require_choices(get_args(Connection), connection=connection)

    def init(key: Array, input_size: int) -> Params:
        params = {}
        for i, (cell, layer_key) in enumerate(zip(cells, _split(key, cells), strict=True)):
            params[f"layer_{i}"] = cell.init(layer_key, input_size)
            if connection == "highway" and input_size == cell.output_size:
                params[f"highway_{i}"] = _init_highway(layer_key, input_size)
            below = input_size if connection == "dense" else 0
            input_size = below + cell.output_size
        return params

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> Carry:
        return tuple(
            cell.initial_carry(params[f"layer_{i}"], batch_shape) for i, cell in enumerate(cells)
        )

    def run(
        layer: Any,
        params: Params,
        carry: Carry,
        x: Array,
        key: Array | None,
        around: Callable[[Array], Array] = lambda x: x,
    ) -> Any:
        carries = []
        keys = _split(key, cells)
        features = x.shape[-1]
        for i, cell in enumerate(cells):
            own = None if carry is None else carry[i]
            # What goes around a layer is whole: else a deep stack would drop it again and again.
            read = _drop(keys[i], x, dropout) if i else x
            new, y = layer(cell, params[f"layer_{i}"], own, read, keys[i])
            carries.append(new)
            x = _connect(connection, params.get(f"highway_{i}"), around(x), y)
        # What leaves a dense stack is what its layers made, without the input below them.
        return tuple(carries), x[..., features:] if connection == "dense" else x

    def step(params: Params, carry: Carry, x: Array, key: Array | None = None) -> Any:
        return run(noisy_step, params, carry, x, key)

    def over_time(scan: Any, params: Params, carry: Carry, xs: Array, key: Array | None) -> Any:
        def layer(cell: Cell, params: Params, carry: Carry, xs: Array, key: Array | None) -> Any:
            return scan(cell, params, carry, xs, key=key)

        def around(x: Array) -> Array:
            return _without_padding(x, input_axes, **scan.keywords)

        return run(layer, params, carry, xs, key, around)

    sizes = [cell.output_size for cell in cells]
    output_size = sum(sizes) if connection == "dense" else sizes[-1]
    input_axes = cells[0].input_axes
    steps = [cell for cell in cells if isinstance(cell, Cell)]
    if len(steps) < len(cells):
        return SequenceMap(init, initial_carry, over_time, output_size, input_axes)
    stochastic = dropout > 0 or any(cell.stochastic for cell in steps)
    made = Cell(init, initial_carry, step, output_size, over_time=over_time)
    return made._replace(stochastic=stochastic, input_axes=input_axes)


def _split(key: Array | None, cells: Sequence[Cell]) -> Any:
    return [None] * len(cells) if key is None else jax.random.split(key, len(cells))


def _drop(key: Array | None, x: Array, rate: float) -> Array:
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)


def _without_padding(
    xs: Array, axes: int, *, mask: Array | None = None, lengths: Array | None = None, **_: Any
) -> Array:
    """What goes around a layer: a masked step yields zeros, whatever stands in the padding."""
    if lengths is not None:
        mask = jnp.arange(len(xs)).reshape(-1, *[1] * lengths.ndim) < lengths
    return xs if mask is None else jnp.where(mask.reshape(mask.shape + (1,) * axes), xs, 0)


def _connect(connection: Connection, highway: Params | None, x: Array, y: Array) -> Array:
    if connection == "dense":
        return jnp.concatenate([x, y], axis=-1)
    if connection == "none" or x.shape != y.shape:
        return y
    if connection == "residual":
        return x + y
    assert highway is not None
    gate = jax.nn.sigmoid(x @ highway["kernel"] + highway["bias"])
    return gate * y + (1 - gate) * x


def _init_highway(key: Array, size: int) -> Params:
    # A negative bias lets the input through at the start, as the paper advises.
    kernel = glorot_uniform(jax.random.fold_in(key, 2), (size, size))
    return {"kernel": kernel, "bias": jnp.full(size, -1.0)}
