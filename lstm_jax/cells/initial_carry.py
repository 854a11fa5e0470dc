"""What a cell remembers before its first step: nothing, or what it has learned."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params
from lstm_jax.cells.checks import require_step


def zero_carry(
    carry: Callable[..., Carry], hidden_size: int
) -> Callable[[Params, tuple[int, ...]], Carry]:
    """The `initial_carry` of a cell whose memory is empty: every field zeros [..., hidden].

    Args:
      carry: the NamedTuple of the carry.
      hidden_size: size of every field of it.
    """
    fields: tuple[str, ...] = getattr(carry, "_fields", ())

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> Carry:
        zeros = jnp.zeros((*batch_shape, hidden_size), params["kernel"].dtype)
        return carry(*[zeros] * len(fields))

    return initial_carry


def learned_carry(cell: Cell) -> Cell:
    """A cell that learns what it remembers before the first step of a sequence, and after a reset.

    Training begins where the cell itself would; the gradient does the rest. The `lstm` has this as
    an option, `learn_initial_carry`.

    Params: those of the cell, and `initial_<field>` for every field of its carry, of the field's
    shape for one example (of a convolutional cell, for one place).

    >>> import lstm_jax as lj
    >>> cell = learned_carry(lj.gru(hidden_size=4))
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> params["initial_hidden"].shape
    (4,)

    A form for all steps at once knows only the cell's own beginning, so it is left out.

    Args:
      cell: the cell; its carry is a NamedTuple of float arrays.

    Raises:
      ValueError: it has no step, it is made of cells (wrap those), or, when its parameters are
        drawn, its carry is not such a one.
    """
    require_step("learned_carry", cell)
    if cell.over_time is not None:
        raise ValueError("learned_carry needs a cell that is not made of cells: wrap those in it")

    def init(key: Array, input_size: int) -> Params:
        params = cell.init(key, input_size)
        return params | _by_name(cell.initial_carry(params, ()))

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> Carry:
        carry = jax.eval_shape(lambda params: cell.initial_carry(params, ()), params)
        learned = [params[name] for name in _by_name(carry)]
        return type(carry)(*[jnp.broadcast_to(a, (*batch_shape, *a.shape)) for a in learned])

    return cell._replace(init=init, initial_carry=initial_carry, parallel=None)


def _by_name(carry: Any) -> dict[str, Array]:
    arrays = {f"initial_{name}": getattr(carry, name) for name in getattr(carry, "_fields", ())}
    if not arrays or not all(_is_float(array) for array in arrays.values()):
        raise ValueError(
            "learned_carry needs a carry that is a NamedTuple of float arrays, "
            f"got {jax.tree.map(jnp.shape, carry)}"
        )
    return arrays


def _is_float(array: Any) -> bool:
    return hasattr(array, "dtype") and jnp.issubdtype(array.dtype, jnp.floating)
