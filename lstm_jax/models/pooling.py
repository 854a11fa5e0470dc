"""From the outputs of all steps of a sequence to one vector, whatever stands in the padding."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lstm_jax.cells import Array


def valid_steps(lengths: Array, time: int) -> Array:
    """Which steps are valid, booleans [time, batch, 1]."""
    return (jnp.arange(time)[:, None] < lengths)[..., None]


def last_output(ys: Array, lengths: Array, *, both_ends: bool = False) -> Array:
    """The output of the last valid step.

    >>> ys = jnp.arange(6.0).reshape(3, 1, 2)
    >>> last_output(ys, jnp.array([2])).tolist()
    [[2.0, 3.0]]
    >>> last_output(ys, jnp.array([2]), both_ends=True).tolist()  # the first step's half
    [[2.0, 1.0]]

    Args:
      ys: outputs [time, batch, features].
      lengths: how many steps of each sequence are valid [batch]; of none, the result is zero.
      both_ends: whether the second half of the features, of a backward cell, ends at the first
        step.
    """
    last = jnp.maximum(lengths - 1, 0)
    y = jnp.take_along_axis(ys, last[None, :, None], axis=0)[0]
    if both_ends:
        half = ys.shape[-1] // 2
        y = jnp.concatenate([y[:, :half], ys[0, :, half:]], axis=-1)
    return jnp.where(lengths[:, None] > 0, y, 0)


def mean_output(ys: Array, lengths: Array) -> Array:
    """The mean of valid outputs [batch, features]; zero of none."""
    total = jnp.sum(jnp.where(valid_steps(lengths, len(ys)), ys, 0), axis=0)
    return total / jnp.maximum(lengths, 1)[:, None]


def max_output(ys: Array, lengths: Array) -> Array:
    """The largest of valid outputs, feature by feature [batch, features]; zero of none."""
    valid = valid_steps(lengths, len(ys))
    largest = jnp.max(jnp.where(valid, ys, -jnp.inf), axis=0)
    return jnp.where(lengths[:, None] > 0, largest, 0)


class AttentionPooling(nn.Module):
    """A weighted mean of outputs, by how much each matters to a query that is learnt.

        u[t] = tanh(W y[t] + b),  a = softmax over t of q . u[t],  a . y

    Z. Yang et al., "Hierarchical Attention Networks for Document Classification", 2016, equations 5
    to 7. Params: `kernel` W [features, features], `bias` b, `query` q.
    """

    @nn.compact
    def __call__(self, ys: Array, lengths: Array) -> Array:
        """The mean [batch, features] of ys [time, batch, features]; zero of no valid step."""
        size = ys.shape[-1]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (size, size))
        bias = self.param("bias", nn.initializers.zeros, (size,))
        query = self.param("query", nn.initializers.normal(0.1), (size,))
        scores = jnp.tanh(ys @ kernel.astype(ys.dtype) + bias.astype(ys.dtype)) @ query
        valid = valid_steps(lengths, len(ys))
        # A finite number, since of no valid step at all the softmax of infinities is no number.
        scores = jnp.where(valid, scores.astype(jnp.float32)[..., None], -1e9)
        weights = jnp.where(valid, jax.nn.softmax(scores, axis=0), 0)
        return jnp.sum(weights * jnp.where(valid, ys, 0), axis=0)
