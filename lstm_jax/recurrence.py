"""Running a cell over time."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params


def scan(
    cell: Cell,
    params: Params,
    carry: Carry | None,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    key: Array | None = None,
) -> tuple[Carry, Array]:
    """Runs a cell over the leading axis of `xs`, as `jax.lax.scan` does.

        carry, ys[t] = step(params, carry, xs[t])    for t = 0, 1, 2, ...

    A masked step holds the carry and yields zeros: what stands in the padding changes nothing.
    A reset step starts from the initial carry, before it reads its input.

    >>> import lstm_jax as lj
    >>> cell = lj.lstm(hidden_size=4)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, ys = scan(cell, params, None, jnp.ones((7, 3, 2)), lengths=jnp.array([7, 5, 0]))
    >>> ys.shape, bool((ys[5:, 1] == 0).all()), bool((carry.cell[2] == 0).all())
    ((7, 3, 4), True, True)

    Args:
      cell: the cell.
      params: its parameters.
      carry: the carry to begin with; None means the initial one.
      xs: inputs [time, ..., input], any number of batch axes, also none.
      lengths: how many leading steps of each example are valid, integers [...].
      mask: which steps are valid, booleans [time, ...]; `lengths` or `mask`, not both.
      resets: where the carry starts anew, booleans [time, ...].
      reverse: run from the last step to the first; outputs keep their places.
      unroll: how many steps one iteration of the compiled loop does.
      key: randomness of a stochastic cell; without it the cell is deterministic.

    Returns:
      The carry after the last step, and the outputs [time, ..., output].

    Raises:
      ValueError: both `lengths` and `mask` are given, or a shape does not fit `xs`.
    """
    valid = _valid(xs, lengths, mask)
    _require_shape("resets", resets, xs.shape[:-1])
    start = cell.initial_carry(params, xs.shape[1:-1])
    carry = start if carry is None else carry
    keys = jax.random.split(key, xs.shape[0]) if key is not None and cell.stochastic else None
    hoisted = cell.project is not None
    inputs = cell.project(params, xs) if cell.project is not None else xs

    def step(carry: Carry, x: tuple[Any, ...]) -> tuple[Carry, Array]:
        x_t, valid_t, reset_t, key_t = x
        if reset_t is not None:
            carry = _where(reset_t, start, carry)
        if hoisted:
            assert cell.recur is not None
            assert cell.update is not None
            new, y = cell.update(params, carry, x_t, cell.recur(params, carry))
        else:
            new, y = cell.step(params, carry, x_t, *([key_t] if cell.stochastic else []))
        if valid_t is None:
            return new, y
        return _where(valid_t, new, carry), _where(valid_t, y, jnp.zeros_like(y))

    return jax.lax.scan(step, carry, (inputs, valid, resets, keys), reverse=reverse, unroll=unroll)


def _valid(xs: Array, lengths: Array | None, mask: Array | None) -> Array | None:
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or mask, not both")
    _require_shape("mask", mask, xs.shape[:-1])
    _require_shape("lengths", lengths, xs.shape[1:-1])
    if lengths is None:
        return mask
    steps = jnp.arange(xs.shape[0]).reshape(-1, *[1] * lengths.ndim)
    return steps < lengths


def _require_shape(name: str, array: Array | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} to fit xs, got {array.shape}")


def _where(condition: Array, a: Any, b: Any) -> Any:
    """Chooses whole examples of a pytree: the condition has the batch axes alone."""

    def choose(x: Array, y: Array) -> Array:
        return jnp.where(
            condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim)), x, y
        )

    return jax.tree.map(choose, a, b)
