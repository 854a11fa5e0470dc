"""A cell that computes in a smaller type than it remembers in."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params
from lstm_jax.cells.checks import require_step


def computing_in(cell: Cell, dtype: str) -> Cell:
    """The cell as it is for float32, else `mixed_precision`: what the models' `dtype` means."""
    return cell if dtype == "float32" else mixed_precision(cell, jnp.dtype(dtype))


def mixed_precision(cell: Cell, dtype: Any = jnp.bfloat16) -> Cell:
    """Products in `dtype`, parameters and carry in float32.

    Of a cell that declares project, recur and update, the first two, which hold the products, are
    computed in `dtype`, and the update in float32; of another, the whole step, while its carry is
    kept in float32 from step to step, and a form for all steps at once is left out.

    >>> import lstm_jax as lj
    >>> cell = mixed_precision(lj.lstm(8))
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((5, 2, 3)))
    >>> str(ys.dtype), str(carry.cell.dtype)
    ('float32', 'float32')

    Args:
      cell: the cell.
      dtype: the type to compute in.

    Raises:
      ValueError: there is no step.
    """
    require_step("mixed_precision", cell)

    def low(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: _float_as(leaf, dtype), tree)

    def high(tree: Any) -> Any:
        # An output that is a field of the carry stays one array with it, as zoneout demands.
        made: dict[int, Array] = {}
        return jax.tree.map(
            lambda leaf: made.setdefault(id(leaf), _float_as(leaf, jnp.float32)), tree
        )

    def step(params: Params, carry: Carry, x: Array, *key: Any) -> tuple[Carry, Array]:
        return high(cell.step(low(params), low(carry), low(x), *key))

    # Made anew, so that nothing that would compute in another type is handed on.
    made = Cell(
        cell.init,
        cell.initial_carry,
        step,
        cell.output_size,
        stochastic=cell.stochastic,
        input_axes=cell.input_axes,
    )
    if cell.stochastic or cell.project is None or cell.recur is None or cell.update is None:
        return made
    old_project, old_recur, update = cell.project, cell.recur, cell.update

    def project(params: Params, x: Array) -> Array:
        return high(old_project(low(params), low(x)))

    def recur(params: Params, carry: Carry) -> Array:
        return high(old_recur(low(params), low(carry)))

    def gated_step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return update(params, carry, project(params, x), recur(params, carry))

    return made._replace(
        step=gated_step,
        project=project,
        recur=recur,
        update=update,
        fast_update=cell.fast_update,
    )


def _float_as(leaf: Array, dtype: Any) -> Array:
    """Floats in another type; seeds and flags in a carry are left alone."""
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
