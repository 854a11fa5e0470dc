"""The neural cache: words that came after states like this one come again."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Fraction, NonNegativeFloat, PositiveInt
from lstm_jax.tasks.task import Array

_BLOCK = 256  # positions a compiled call


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache:
    """A memory of the last states of a model and of the symbols that came after them.

        p(w | t) = (1 - weight) * p_model(w | t) + weight * p_cache(w | t)
        p_cache(w | t) ~ sum of exp(flatness * h_t . h_i) over the i with x_(i + 1) = w

    E. Grave, A. Joulin and N. Usunier, "Improving Neural Language Models with a Continuous Cache",
    arXiv 1612.04426.

    Attributes:
      size: states that are remembered.
      flatness: factor of the states' products; 0 counts symbols, whatever the states.
      weight: share of the cache in the mixture.
    """

    size: PositiveInt = 2000
    flatness: NonNegativeFloat = 0.3
    weight: Fraction = 0.1


def cache_probabilities(
    features: np.ndarray, targets: np.ndarray, *, size: int, flatness: float
) -> np.ndarray:
    """The probability that the cache gives to every target [length]; 0 for the first one.

    Args:
      features: the state that predicts each target [length, features].
      targets: symbol numbers [length].
      size: states that are remembered.
      flatness: factor of the states' products.
    """
    length = len(targets)
    size = min(size, length)
    # In front stand as many empty places as the cache has, so that all blocks are alike.
    rows = -length % _BLOCK
    states = np.pad(features, ((size, rows), (0, 0)))
    symbols = np.pad(targets.astype(np.int32), (size, rows), constant_values=-1)
    found = [
        _block(states[start : start + size + _BLOCK], symbols[start : start + size + _BLOCK],
               flatness, size)
        for start in range(0, length, _BLOCK)
    ]  # fmt: skip
    return np.concatenate([np.asarray(part) for part in found])[:length]


@functools.partial(jax.jit, static_argnums=3)
def _block(states: Array, symbols: Array, flatness: Array, size: int) -> Array:
    """Of the last `_BLOCK` positions, from the `size` before each."""
    places = jnp.arange(len(symbols))
    now = places[size:]
    before = (places < now[:, None]) & (places >= now[:, None] - size) & (symbols >= 0)
    scores = jnp.where(before, flatness * (states[size:] @ states.T), -jnp.inf)
    # Without any state to remember, all scores are the lowest and the share is 0.
    weights = jnp.where(before, jnp.exp(scores - jnp.max(scores, 1, keepdims=True)), 0)
    same = symbols == symbols[size:, None]
    return jnp.sum(weights * same, axis=1) / jnp.maximum(jnp.sum(weights, axis=1), 1e-30)
