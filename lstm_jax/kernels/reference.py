"""The plain way to run a cell over time, which every other way must equal."""

from typing import Any

import jax

from lstm_jax.cells import Carry, Cell, Params
from lstm_jax.kernels.backend import Backend
from lstm_jax.kernels.steps import Steps, choose, zeros_where_not


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
    remat: bool = False,
) -> tuple[Carry, Any]:
    """`jax.lax.scan` over `cell.step`, differentiated by JAX.

    Args:
      cell: the cell.
      params: its parameters.
      carry: the carry to begin with.
      start: the carry after a reset.
      steps: inputs, mask, resets and keys.
      reverse: run from the last step to the first.
      unroll: steps in one iteration of the compiled loop.
      carries: also return the carry after every step, as `(ys, carries)`.
      remat: compute each step again in the backward pass instead of keeping what it needs.

    Returns:
      The last carry, and the outputs [time, ...].
    """

    def step(carry: Carry, at: Steps) -> tuple[Carry, Any]:
        if at.resets is not None:
            carry = choose(at.resets, start, carry)
        key = [at.keys] if cell.stochastic else []
        new, y = cell.step(params, carry, at.xs, *key)
        new, y = choose(at.mask, new, carry), zeros_where_not(at.mask, y)
        return new, (y, new) if carries else y

    body = jax.checkpoint(step) if remat else step
    return jax.lax.scan(body, carry, steps, reverse=reverse, unroll=unroll)


BACKEND = Backend(
    name="reference",
    run=run,
    reason="jax.lax.scan over the cell's step, differentiated by JAX",
    remat=True,
    random=True,
)
