"""Positions that count, brought together and gone through block by block."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array


class Order(NamedTuple):
    """Where positions go.

    Attributes:
      places: those that count first, in their order, then others to fill up the last block.
      counted: how many count.
      positions: how many there are.
    """

    places: Array
    counted: Array
    positions: int

    def put_back(self, values: Array) -> Array:
        """Values in this order at their positions; zeros at those that do not count."""
        outside = self.positions  # dropped
        place = jnp.where(jnp.arange(len(self.places)) < self.counted, self.places, outside)
        return jnp.zeros(self.positions, values.dtype).at[place].set(values, mode="drop")


def order_of(counted: Array, block: int) -> Order:
    """The order in which the positions that count come first.

    >>> order = order_of(jnp.array([False, True, True]), block=2)
    >>> order.places[:2].tolist(), order.put_back(jnp.array([5.0, 7.0, 0.0, 0.0])).tolist()
    ([1, 2], [0.0, 5.0, 7.0])

    Args:
      counted: booleans [positions].
      block: positions that are gone through at a time.
    """
    positions = len(counted)
    places = jnp.pad(jnp.argsort(~counted, stable=True), (0, -positions % block))
    return Order(places, jnp.sum(counted), positions)


def rounds(count: Array, block: int) -> Array:
    """How many blocks hold something that counts."""
    return (count + block - 1) // block


def cut(array: Array, i: Any, block: int) -> Array:
    """Block i of an array."""
    return jax.lax.dynamic_slice_in_dim(array, i * block, block)


def put(array: Array, part: Array, i: Any, block: int) -> Array:
    """The array with another block i."""
    return jax.lax.dynamic_update_slice_in_dim(array, part.astype(array.dtype), i * block, 0)
