"""The cost of a softmax over many symbols, block by block of the positions that count."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.blocks import cut, order_of, put, rounds

_BLOCK = 128  # positions: the logits of a block stay in the cache of a processor


def chosen_cost(
    x: Array, kernel: Array, bias: Array, targets: Array, chosen: Array, block: int = _BLOCK
) -> tuple[Array, Array]:
    """Nats of the targets under `softmax(x kernel + bias)`, and whether they are the likeliest.

    Both are computed where `chosen` says, and cost nothing where it does not: the others yield 0
    and False, and pass no gradient. No more than a block of logits is in memory at a time; the
    gradient computes them again.

    >>> x, kernel = jnp.ones((3, 2)), jnp.zeros((2, 4))
    >>> chosen = jnp.array([True, False, True])
    >>> nats, _ = chosen_cost(x, kernel, jnp.zeros(4), jnp.array([0, 1, 2]), chosen)
    >>> [round(float(n), 3) for n in nats]
    [1.386, 0.0, 1.386]

    Args:
      x: features [positions, features].
      kernel: [features, symbols].
      bias: [symbols].
      targets: symbol numbers [positions].
      chosen: booleans [positions].
      block: positions whose logits are in memory at a time.
    """
    block = min(block, len(targets))
    order = order_of(chosen, block)
    places = order.places
    found: Any = _cost(block, x[places], kernel, bias, targets[places], order.counted)
    nats, right = found
    return order.put_back(nats), order.put_back(right)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _cost(
    block: int, x: Array, kernel: Array, bias: Array, targets: Array, count: Array
) -> tuple[Array, Array]:
    return _forward(block, x, kernel, bias, targets, count)[0]


def _forward(
    block: int, x: Array, kernel: Array, bias: Array, targets: Array, count: Array
) -> tuple[tuple[Array, Array], Any]:
    def body(i: Array, found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        logits, y = _logits(cut(x, i, block), kernel, bias), cut(targets, i, block)
        highest = jnp.max(logits, axis=-1)
        normalizer = highest + jnp.log(jnp.sum(jnp.exp(logits - highest[:, None]), axis=-1))
        at_target = jnp.take_along_axis(logits, y[:, None], axis=-1)[:, 0]
        right = at_target >= highest  # an argmax would take longer than all the rest
        parts = (normalizer - at_target, right, normalizer)
        return jax.tree.map(lambda a, b: put(a, b, i, block), found, parts)

    zeros = jnp.zeros(len(targets), jnp.float32)
    start = (zeros, jnp.zeros(len(targets), bool), zeros)
    nats, right, normalizer = jax.lax.fori_loop(0, rounds(count, block), body, start)
    counts = jnp.arange(len(targets)) < count
    kept = (x, kernel, bias, targets, count, normalizer)
    return (jnp.where(counts, nats, 0), right & counts), kept


def _backward(block: int, kept: Any, cotangents: tuple[Array, Any]) -> tuple[Any, ...]:
    x, kernel, bias, targets, count, normalizer = kept
    d_nats = jnp.where(jnp.arange(len(targets)) < count, cotangents[0], 0)
    symbols = jnp.arange(kernel.shape[1])

    def body(i: Array, found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        d_x, d_kernel, d_bias = found
        part = cut(x, i, block)
        probability = jnp.exp(_logits(part, kernel, bias) - cut(normalizer, i, block)[:, None])
        at_target = symbols == cut(targets, i, block)[:, None]
        d_logits = (probability - at_target) * cut(d_nats, i, block)[:, None]
        d_products = d_logits.astype(x.dtype)
        d_part = jnp.dot(d_products, kernel.T)
        d_kernel += jnp.dot(part.T, d_products, preferred_element_type=jnp.float32)
        return put(d_x, d_part, i, block), d_kernel, d_bias + jnp.sum(d_logits, axis=0)

    start = (
        jnp.zeros_like(x),
        jnp.zeros(kernel.shape, jnp.float32),
        jnp.zeros(bias.shape, jnp.float32),
    )
    d_x, d_kernel, d_bias = jax.lax.fori_loop(0, rounds(count, block), body, start)
    return d_x, d_kernel.astype(kernel.dtype), d_bias.astype(bias.dtype), None, None


_cost.defvjp(_forward, _backward)


def _logits(x: Array, kernel: Array, bias: Array) -> Array:
    return jnp.dot(x, kernel, preferred_element_type=jnp.float32) + bias
