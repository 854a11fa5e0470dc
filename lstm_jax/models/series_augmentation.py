"""Series changed a little at every step of training, in ways that leave their class as it is."""

import dataclasses

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.config import NonNegativeFloat

_WAVES = 3  # slow ones: time runs faster and slower in a few parts of a series


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesAugmentation:
    """What is done to training series; numbers are deviations of normal draws, 0 for nothing.

    Jitter, scaling and time warping are those of T. T. Um et al., "Data augmentation of wearable
    sensor data for Parkinson's disease monitoring using convolutional neural networks", 2017.

    >>> series, lengths = jnp.ones((2, 6, 1)), jnp.array([6, 3])
    >>> changed = SeriesAugmentation(scaling=0.1, warping=0.05)(jax.random.key(0), series, lengths)
    >>> changed.shape, changed[1, 3:].any().item()
    ((2, 6, 1), False)

    Attributes:
      noise: added to every value, in units of the inputs.
      scaling: of a factor around 1 for each dimension of a series.
      shift: of how far a series is moved in time, as a share of its length; its ends stay on.
      warping: of how far its inside is moved to and fro in time, as a share of its length.
    """

    noise: NonNegativeFloat = 0.0
    scaling: NonNegativeFloat = 0.0
    shift: NonNegativeFloat = 0.0
    warping: NonNegativeFloat = 0.0

    def __call__(self, key: Array, series: Array, lengths: Array) -> Array:
        """Series [batch, time, dimensions] of these lengths, changed; zeros behind their ends."""
        keys = jax.random.split(key, 4)
        batch, time, dimensions = series.shape
        if self.shift or self.warping:
            moved = _moved_times(keys[0], keys[1], lengths, time, self.shift, self.warping)
            series = _read_at(series, moved)
        if self.scaling:
            normal = jax.random.normal(keys[2], (batch, 1, dimensions))
            series = series * (1 + self.scaling * normal)
        if self.noise:
            series = series + self.noise * jax.random.normal(keys[3], series.shape)
        valid = jnp.arange(time) < lengths[:, None]
        return jnp.where(valid[..., None], series, 0)


def _moved_times(
    shift_key: Array, warp_key: Array, lengths: Array, time: int, shift: float, warping: float
) -> Array:
    """Where each step of each series is read [batch, time], between its first step and its last."""
    last = jnp.maximum(lengths - 1, 0)[:, None].astype(jnp.float32)
    place = jnp.arange(time) / jnp.maximum(last, 1)
    wave = jnp.arange(1, _WAVES + 1)
    height = jax.random.normal(warp_key, (len(lengths), _WAVES)) / wave
    bend = jnp.einsum("bw,bwt->bt", height, jnp.sin(jnp.pi * wave[:, None] * place[:, None]))
    start = jax.random.normal(shift_key, (len(lengths), 1))
    return jnp.clip((place + warping * bend + shift * start) * last, 0, last)


def _read_at(series: Array, times: Array) -> Array:
    """Values at times between the steps, along straight lines."""
    before = jnp.floor(times).astype(jnp.int32)
    share = (times - before)[..., None]
    after = jnp.minimum(before + 1, series.shape[1] - 1)
    left, right = (jnp.take_along_axis(series, i[..., None], axis=1) for i in (before, after))
    # At the last step of a series nothing of what stands behind it is read.
    return left + jnp.where(share > 0, share * (right - left), 0)
