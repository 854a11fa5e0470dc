"""The layout of Flax's sequences, [batch, time, ...], around `scan`, whose time leads."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.recurrence import scan


def run_layer(
    cell: Cell, params: Params, carry: Carry | None, xs: Array, time_major: bool, options: Any
) -> tuple[Carry, Any]:
    """`scan` of a cell; unless `time_major`, everything that has a time axis is batch first."""
    if time_major:
        return scan(cell, params, carry, xs, **options)
    swapped = {
        name: _swap(options[name]) for name in ("mask", "resets") if options.get(name) is not None
    }
    carry, ys = scan(cell, params, carry, _swap(xs), **{**options, **swapped})
    return carry, jax.tree.map(_swap, ys)  # with return_carries a pair


def _swap(array: Array) -> Array:
    return jnp.swapaxes(array, 0, 1)
