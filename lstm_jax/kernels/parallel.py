"""All time steps of a cell at once, for cells that have such a form."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Carry, Cell, Params
from lstm_jax.kernels.steps import Steps


def run(
    cell: Cell,
    params: Params,
    carry: Carry,
    start: Carry,
    steps: Steps,
    *,
    reverse: bool = False,
    unroll: int = 1,
    carries: bool = False,
) -> tuple[Carry, Any]:
    """Equals `lstm_jax.kernels.reference.run` for a cell with a parallel form.

    That form yields no carries but the last, and knows the reset carry from the parameters.
    """
    assert cell.parallel is not None
    assert not carries
    del start, unroll
    xs, mask, resets, _ = _flipped(steps) if reverse else steps
    carry, ys = cell.parallel(params, carry, xs, mask, resets)
    return carry, _flipped(ys) if reverse else ys


def _flipped(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)
