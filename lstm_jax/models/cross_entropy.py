"""The likelihood of targets under a softmax over many symbols, without the cost of padding."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.kernels.backend import current_platform
from lstm_jax.models.blocks import cut, order_of, put, rounds

_BLOCK = 256  # positions: the logits of a block stay in the cache of a processor


def log_likelihood(
    x: Array, table: Array, bias: Array, targets: Array, counted: Array
) -> tuple[Array, Array]:
    """Log-probabilities of the targets, and the mean of those of all symbols.

        z = x W^T + b,    l = z_y - log sum exp z,    m = mean z - log sum exp z

    `(1 - e) * l + e * m` is the likelihood with labels smoothed by e (C. Szegedy et al., arXiv
    1512.00567). Positions that do not count yield zeros and pass no gradient. On one CPU device
    they cost nothing either; elsewhere all are computed, since a device could not share out what
    it has to sort.

    >>> counted = jnp.array([True, False])
    >>> l, m = log_likelihood(jnp.ones((2, 3)), jnp.zeros((4, 3)), jnp.zeros(4),
    ...                       jnp.array([2, 0]), counted)
    >>> [round(float(value), 3) for value in l], round(float(m[0]), 3)
    ([-1.386, 0.0], -1.386)

    Args:
      x: features [positions, features].
      table: W [symbols, features].
      bias: b [symbols].
      targets: symbol numbers [positions].
      counted: booleans [positions].
    """
    alone = current_platform() == "cpu" and jax.local_device_count("cpu") == 1
    rule = compact if alone else dense
    at_target, normalizer = rule(x, table, bias, targets, counted)
    # The mean of the logits is one product with a mean.
    mean = x.astype(jnp.float32) @ jnp.mean(table.astype(jnp.float32), axis=0) + jnp.mean(bias)
    mean = jnp.where(counted, mean - normalizer, 0)
    return at_target - normalizer, mean


def dense(
    x: Array, table: Array, bias: Array, targets: Array, counted: Array
) -> tuple[Array, Array]:
    """The logits of the targets and log sum exp of all, zeros where `counted` says no."""
    logits = _logits(x, table, bias)
    at_target = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    normalizer = jax.nn.logsumexp(logits, axis=-1)
    return jnp.where(counted, at_target, 0), jnp.where(counted, normalizer, 0)


def compact(
    x: Array, table: Array, bias: Array, targets: Array, counted: Array
) -> tuple[Array, Array]:
    """The same as `dense`, block by block of what counts."""
    block = min(_BLOCK, len(targets))
    order = order_of(counted, block)
    places = order.places
    found: Any = _blocks(block, x[places], table, bias, targets[places], order.counted)
    at_target, normalizer = map(order.put_back, found)
    return at_target, normalizer


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _blocks(
    block: int, x: Array, table: Array, bias: Array, targets: Array, count: Array
) -> tuple[Array, Array]:
    return _forward(block, x, table, bias, targets, count)[0]


def _forward(
    block: int, x: Array, table: Array, bias: Array, targets: Array, count: Array
) -> tuple[tuple[Array, Array], Any]:
    def body(i: Array, found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        logits = _logits(cut(x, i, block), table, bias)
        at_target = jnp.take_along_axis(logits, cut(targets, i, block)[:, None], axis=-1)[:, 0]
        parts = (at_target, jax.nn.logsumexp(logits, axis=-1), logits)
        return jax.tree.map(lambda whole, part: put(whole, part, i, block), found, parts)

    zeros = jnp.zeros(len(targets))
    start = (zeros, zeros, jnp.empty((len(targets), len(table))))
    at_target, normalizer, logits = jax.lax.fori_loop(0, rounds(count, block), body, start)
    return (at_target, normalizer), (x, table, bias, targets, count, normalizer, logits)


def _backward(block: int, kept: Any, cotangents: tuple[Array, Array]) -> tuple[Any, ...]:
    x, table, bias, targets, count, normalizer, logits = kept
    counts = jnp.arange(len(targets)) < count
    d_target, d_normalizer = (jnp.where(counts, d, 0) for d in cotangents)
    symbols = jnp.arange(len(table))

    def body(i: Array, found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        d_x, d_table, d_bias = found
        here = functools.partial(cut, i=i, block=block)
        probability = jnp.exp(here(logits) - here(normalizer)[:, None])
        at_target = symbols == here(targets)[:, None]
        d_logits = at_target * here(d_target)[:, None] + probability * here(d_normalizer)[:, None]
        low = d_logits.astype(x.dtype)
        d_table += jnp.dot(low.T, here(x), preferred_element_type=jnp.float32)
        return put(d_x, low @ table, i, block), d_table, d_bias + jnp.sum(d_logits, axis=0)

    start = (jnp.zeros_like(x), jnp.zeros(table.shape, jnp.float32), jnp.zeros(bias.shape))
    d_x, d_table, d_bias = jax.lax.fori_loop(0, rounds(count, block), body, start)
    return d_x, d_table.astype(table.dtype), d_bias.astype(bias.dtype), None, None


_blocks.defvjp(_forward, _backward)


def _logits(x: Array, table: Array, bias: Array) -> Array:
    return jnp.dot(x, table.T, preferred_element_type=jnp.float32) + bias
