"""How far forecast frames are from those that came: squared error and structural similarity."""

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array

_WINDOW = 7
_SMALL = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)


def squared_error(found: Array, true: Array) -> Array:
    """The squared error of brightness in [0, 1], summed over the pixels of a frame [...].

    So do OpenSTL (arXiv 2306.11249) and most papers on Moving MNIST report it.

    >>> squared_error(jnp.zeros((3, 2, 2, 1)), jnp.full((3, 2, 2, 1), 0.5)).tolist()
    [1.0, 1.0, 1.0]

    Args:
      found: brightness [..., height, width, channels].
      true: the same of what came.
    """
    return jnp.sum(jnp.square(found - true), axis=(-3, -2, -1))


def ssim(found: Array, true: Array) -> Array:
    """The structural similarity of frames [...], 1 for equal ones.

    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
    2004, with a window of 7 by 7 pixels, sample covariances and the mean of all channels, of
    frames rounded to bytes: `skimage.metrics.structural_similarity` with its defaults gives the
    same. OpenSTL gives that function numbers in [0, 1] and not their range; older versions of it
    took the range of floats for 2, which makes the figures of dark frames larger.

    >>> frames = jax.random.uniform(jax.random.key(0), (9, 9, 1))
    >>> float(jax.jit(ssim)(frames, frames))
    1.0

    Args:
      found: brightness in [0, 1], [..., height, width, channels].
      true: the same of what came.
    """
    x, y = (jnp.round(255 * jnp.clip(frames, 0, 1)) for frames in (found, true))
    mean_x, mean_y, xx, yy, xy = (_window_mean(z) for z in (x, y, x * x, y * y, x * y))
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    var_x, var_y = sample * (xx - mean_x**2), sample * (yy - mean_y**2)
    covariance = sample * (xy - mean_x * mean_y)
    c1, c2 = _SMALL
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return jnp.mean(above / below, axis=(-3, -2, -1))


def _window_mean(frames: Array) -> Array:
    """The mean of every window that lies inside a frame."""
    for axis in (-3, -2):
        places = frames.shape[axis] - _WINDOW + 1
        parts = [jax.lax.slice_in_dim(frames, i, i + places, axis=axis) for i in range(_WINDOW)]
        frames = sum(parts[1:], parts[0]) / _WINDOW
    return frames
