"""The cross-entropy of a softmax over many symbols, in few passes over its logits."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array


@jax.custom_vjp
def log_likelihood(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Log-probabilities of the targets, and the mean of those of all symbols.

        l = z_y - log sum exp z,    m = mean z - log sum exp z

    `(1 - e) * l + e * m` is the likelihood with labels smoothed by e (C. Szegedy et al., arXiv
    1512.00567). The derivative is one pass, which reads the logits once.

    >>> l, m = log_likelihood(jnp.array([[0.0, 0.0, 0.0, 0.0]]), jnp.array([2]))
    >>> round(float(l[0]), 3), round(float(m[0]), 3)
    (-1.386, -1.386)

    Args:
      logits: [..., vocabulary].
      targets: symbol numbers [...].
    """
    return _forward(logits, targets)[0]


def _forward(logits: Array, targets: Array) -> tuple[tuple[Array, Array], Any]:
    normalizer = jax.nn.logsumexp(logits, axis=-1)
    right = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    found = right - normalizer, jnp.mean(logits, axis=-1) - normalizer
    return found, (logits, normalizer, targets)


def _backward(kept: Any, cotangents: tuple[Array, Array]) -> tuple[Array, None]:
    logits, normalizer, targets = kept
    d_right, d_mean = (d[..., None] for d in cotangents)
    symbols = jnp.arange(logits.shape[-1])
    probability = jnp.exp(logits - normalizer[..., None])
    at_target = jnp.where(symbols == targets[..., None], d_right, 0)
    return at_target + d_mean / logits.shape[-1] - (d_right + d_mean) * probability, None


log_likelihood.defvjp(_forward, _backward)
