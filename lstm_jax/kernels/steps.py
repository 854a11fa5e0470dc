"""What a run over time is given, step by step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Steps(NamedTuple):
    """Inputs of a run, all with a leading time axis; None where there is nothing to say.

    Attributes:
      xs: inputs [time, batch..., input...].
      mask: which steps are valid [time, batch...].
      resets: where the carry starts anew [time, batch...].
      keys: a key for each step of a stochastic cell [time].
    """

    xs: Array
    mask: Array | None = None
    resets: Array | None = None
    keys: Array | None = None


def choose(condition: Array | None, a: Any, b: Any) -> Any:
    """Whole examples of a pytree by a condition [batch...]; `a` where there is no condition."""
    if condition is None:
        return a

    def pick(x: Array, y: Array) -> Array:
        fits = condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim))
        return jnp.where(fits, x, y)

    return jax.tree.map(pick, a, b)


def zeros_where_not(condition: Array | None, a: Any) -> Any:
    """Zeros in place of whole examples of a pytree."""
    return choose(condition, a, jax.tree.map(jnp.zeros_like, a))
