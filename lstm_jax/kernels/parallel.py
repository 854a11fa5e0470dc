"""All time steps of a cell at once, for cells that have such a form."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Carry, Cell, Params
from lstm_jax.kernels.backend import Backend, Request
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


def _lacking(cell: Cell, request: Request) -> str | None:
    if cell.parallel is None:
        return "the cell has no parallel form"
    if request.carries:
        return "a parallel form yields only the last carry"
    return None


def _avoided(cell: Cell, request: Request) -> str | None:
    # Measured on a CPU (experiments/benchmarks/parallel_forms.py). An associative scan goes over
    # its arrays many times, and their size grows with the batch; a loop adds to the weights'
    # gradient in every step, which does not. But a loop must also keep every carry for its
    # derivative: with a memory of matrices it was slower at any batch.
    matrices = request.carry_size >= 8 * cell.output_size
    if request.platform == "cpu" and request.batch > 32 and not matrices:
        return "slower on a CPU for more than 32 examples of a memory of vectors"
    return None


BACKEND = Backend(
    name="parallel",
    run=run,
    reason="all time steps at once",
    lacking=_lacking,
    avoided=_avoided,
)
