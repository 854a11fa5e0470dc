"""Initial values of recurrent parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array
Initializer = Callable[..., Array]  # (key, shape, dtype) -> array

glorot_uniform: Initializer = jax.nn.initializers.glorot_uniform()
orthogonal: Initializer = jax.nn.initializers.orthogonal()


def per_gate(initializer: Initializer, gates: int) -> Initializer:
    """Draws each gate's block of columns by itself, so that its scale is that of one gate.

    Glorot and orthogonal initialisation depend on the shape; over all gates at once they would
    see a matrix `gates` times as wide as the map each gate computes.

    >>> kernel = per_gate(orthogonal, 4)(jax.random.key(0), (8, 32))
    >>> bool(jnp.allclose(kernel[:, :8].T @ kernel[:, :8], jnp.eye(8), atol=1e-5))
    True

    Raises:
      ValueError: the last axis does not divide into that many gates.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        if shape[-1] % gates:
            raise ValueError(f"shape {shape}: the last axis does not divide into {gates} gates")
        block = (*shape[:-1], shape[-1] // gates)
        keys = jax.random.split(key, gates)
        return jnp.concatenate([initializer(k, block, dtype) for k in keys], axis=-1)

    return init
