"""Features of sound changed a little at every step of training: masks over time and frequency."""

import dataclasses

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.config import Fraction, NonNegativeFloat, NonNegativeInt


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecAugment:
    """SpecAugment of D. Park et al., arXiv 1904.08779, without its time warping, and noise.

    Each mask covers a stretch whose length is drawn evenly from 0 to its width and whose place is
    drawn evenly; what is covered becomes 0, the mean of features that are normalised.

    >>> augment = SpecAugment(time_masks=1, time_width=4, frequency_masks=1, frequency_width=3)
    >>> x = jax.jit(augment)(jax.random.key(1), jnp.ones((2, 12, 6)), jnp.array([12, 5]))
    >>> x[0, :, 0].tolist()
    [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]

    Attributes:
      time_masks: masks over frames.
      time_width: frames of the longest one.
      time_share: of an utterance, the most that one of them covers.
      frequency_masks: masks over features.
      frequency_width: features of the widest one.
      noise: deviation of what is added to every value, in units of the features.
    """

    time_masks: NonNegativeInt = 2
    time_width: NonNegativeInt = 40
    time_share: Fraction = 0.2
    frequency_masks: NonNegativeInt = 2
    frequency_width: NonNegativeInt = 8
    noise: NonNegativeFloat = 0.0

    def __call__(self, key: Array, features: Array, lengths: Array) -> Array:
        """Features [batch, frames, features] of these lengths, changed; zeros behind their ends."""
        time_key, frequency_key, noise_key = jax.random.split(key, 3)
        batch, time, size = features.shape
        if self.noise:
            features += self.noise * jax.random.normal(noise_key, features.shape, features.dtype)
        keep = jnp.arange(time) < lengths[:, None]
        if self.time_masks and self.time_width:
            widest = jnp.minimum(self.time_width, (self.time_share * lengths).astype(jnp.int32))
            keep &= ~_masked(time_key, self.time_masks, widest, lengths, time)
        keep_feature = jnp.ones((batch, size), bool)
        if self.frequency_masks and self.frequency_width:
            widest = jnp.full(batch, min(self.frequency_width, size))
            ends = jnp.full(batch, size)
            keep_feature = ~_masked(frequency_key, self.frequency_masks, widest, ends, size)
        return jnp.where(keep[..., None] & keep_feature[:, None], features, 0)


def _masked(key: Array, masks: int, widest: Array, ends: Array, size: int) -> Array:
    """Which of `size` places are under one of the masks, bool [batch, size].

    Args:
      key: of the draw.
      masks: how many.
      widest: the greatest width of each row [batch].
      ends: the place that every mask of a row ends before or at [batch].
      size: places of a row.
    """
    width_key, place_key = jax.random.split(key)
    shape = (len(ends), masks)
    width = jax.random.randint(width_key, shape, 0, widest[:, None] + 1)
    begin = jax.random.randint(place_key, shape, 0, ends[:, None] - width + 1)
    place = jnp.arange(size)[:, None, None]
    return ((begin <= place) & (place < begin + width)).any(axis=-1).T
