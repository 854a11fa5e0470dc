"""Convolutions that make a small plane of features out of each frame of a clip."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from lstm_jax.cells import Array


def frame_convolutions(filters: int, count: int, dtype: str) -> list[nn.Conv]:
    """Convolutions called `convolution_0`, ...: each halves the sides and doubles the filters."""
    return [
        nn.Conv(filters * 2**i, (3, 3), (2, 2), dtype=dtype, name=f"convolution_{i}")
        for i in range(count)
    ]


def seen_through(convolutions: Sequence[nn.Conv], clips: Array, dtype: str) -> Array:
    """Rectified features [time, batch, height, width, filters] of every frame.

    Args:
      convolutions: those of `frame_convolutions`, inside a module.
      clips: bytes [batch, time, height, width, channels].
      dtype: type of the products.
    """
    x_tbhwc = jnp.swapaxes(clips, 0, 1).astype(dtype) / 255
    for convolution in convolutions:
        x_tbhwc = nn.relu(convolution(x_tbhwc))
    return x_tbhwc
