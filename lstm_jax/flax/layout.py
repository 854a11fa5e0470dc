"""The layout of Flax's sequences, [batch, time, ...], around `scan`, whose time leads."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.recurrence import scan


def run_layer(
    cell: Cell | SequenceMap,
    params: Params,
    carry: Carry | None,
    xs: Array,
    time_major: bool,
    options: Any,
) -> tuple[Carry, Any]:
    """`scan` of a cell; unless `time_major`, time stands behind all batch axes, also behind none.

    This goes for all that has a time axis: inputs, `mask`, `resets`, outputs and carries.
    """
    if time_major:
        return scan(cell, params, carry, xs, **options)
    time_axis = xs.ndim - cell.input_axes - 1
    moved = {}
    for name in ("mask", "resets"):
        if (given := options.get(name)) is not None:
            if given.shape != (shape := xs.shape[: time_axis + 1]):
                raise ValueError(f"{name} must have shape {shape} to fit xs, got {given.shape}")
            moved[name] = jnp.moveaxis(given, time_axis, 0)
    xs = jnp.moveaxis(xs, time_axis, 0)
    carry, ys = scan(cell, params, carry, xs, **{**options, **moved})
    return carry, jax.tree.map(lambda y: jnp.moveaxis(y, 0, time_axis), ys)  # ys may be a pair
