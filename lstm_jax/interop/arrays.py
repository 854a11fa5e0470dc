"""Arrays on their way between libraries."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array


def to_jax(name: str, values: Any) -> Array:
    """An array of the same floating type, which jax keeps.

    Raises:
      ValueError: jax would hold the values less precisely, or they are no floating numbers.
    """
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} must hold floating-point numbers, got {array.dtype}")
    if array.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
        raise ValueError(
            f"{name} is float64, which jax holds only with jax_enable_x64; "
            "make it float32 first if that is precise enough"
        )
    return jnp.asarray(array)


def to_numpy(values: Any) -> np.ndarray:
    """A copy that may be written to, row by row in memory, as other libraries want it."""
    return np.array(values, order="C")


def reorder(array: Any, order: Sequence[int], axis: int = -1) -> Any:
    """The equal blocks of an axis (the gates) in another order: block i is `order[i]` of old."""
    blocks = jnp.split(jnp.asarray(array), len(order), axis=axis)
    return jnp.concatenate([blocks[i] for i in order], axis=axis)
