"""The gradient of a batch, all at once or part by part."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Array, Batch, Sums

# (loss, carry, sums, gradients)
Found = tuple[Array, Any, Sums, Any]


def loss_and_gradients(
    learner: Learner, params: Any, carry: Any, batch: Batch, key: Array, scale: Array | None
) -> Found:
    """Loss, new carry, sums, and the gradient of the loss.

    Args:
      learner: whose loss it is.
      params: the parameters.
      carry: the carry before the batch.
      batch: the batch.
      key: randomness of the loss.
      scale: the loss is multiplied with it and the gradient divided by it, so that small gradients
        are not lost in float16; None for neither.
    """

    def loss_fn(params: Any) -> tuple[Array, tuple[Array, Any, Sums]]:
        loss, after, sums = learner.loss(params, carry, batch, key)
        return loss if scale is None else loss * scale, (loss, after, sums)

    gradients, (loss, after, sums) = jax.grad(loss_fn, has_aux=True)(params)
    if scale is not None:
        gradients = jax.tree.map(lambda g: g / scale, gradients)
    return loss, after, sums, gradients


def accumulated(
    learner: Learner,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array,
    scale: Array | None,
    *,
    parts: int,
    batch_size: int,
) -> Found:
    """The same as `loss_and_gradients`, with the memory of one part of the batch at a time.

    Arrays whose leading axis is the batch's are cut along it, in the carry too: every stream keeps
    its own. Other arrays of the batch are the same for all parts, and others of the carry go from
    part to part. If the learner names a `weight`, the sum of what its loss is an average of, the
    result is that of the whole batch to rounding however the weight is spread; else parts count
    the same. Randomness is drawn part by part.

    Args:
      learner: whose loss it is.
      params: the parameters.
      carry: the carry before the batch.
      batch: the batch.
      key: randomness of the loss.
      scale: as in `loss_and_gradients`.
      parts: how many parts; they divide the batch.
      batch_size: of the whole batch.
    """
    if parts == 1:
        return loss_and_gradients(learner, params, carry, batch, key, scale)
    batch_parts, batch_rest = _split(batch, batch_size, parts)
    carry_parts, carry_rest = _split(carry, batch_size, parts)

    def run(i: Array, carry_rest: Any, pieces: Any) -> tuple[Any, Any]:
        batch_piece, carry_piece = pieces
        loss, after, sums, gradients = loss_and_gradients(
            learner,
            params,
            _merge(carry_piece, carry_rest),
            _merge(batch_piece, batch_rest),
            jax.random.fold_in(key, i),
            scale,
        )
        weight = jnp.float32(1) if learner.weight is None else sums[learner.weight]
        weighted = jax.tree.map(lambda x: x * weight, (loss, gradients))
        return (weighted, sums, weight), after

    def body(state: Any, xs: Any) -> tuple[Any, Any]:
        total, carry_rest = state
        found, after = run(xs[0], carry_rest, xs[1])
        after_piece = _where(after, carry_parts, of_parts=True)
        after_rest = _where(after, carry_parts, of_parts=False)
        return (jax.tree.map(jnp.add, total, found), after_rest), after_piece

    pieces = (batch_parts, carry_parts)
    first = jax.tree.map(lambda x: x[0], pieces)
    shapes, _ = jax.eval_shape(run, jnp.int32(0), carry_rest, first)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    (total, carry_rest), carry_parts = jax.lax.scan(
        body, (zeros, carry_rest), (jnp.arange(parts), pieces)
    )
    (loss, gradients), sums, weight = total
    # A batch without any weight, all padding, has a loss of zero and no gradient.
    loss, gradients = jax.tree.map(lambda x: x / jnp.maximum(weight, 1), (loss, gradients))
    return loss, _merge(jax.tree.map(_join, carry_parts), carry_rest), sums, gradients


def _split(tree: Any, batch_size: int, parts: int) -> tuple[Any, Any]:
    """The leaves that have a batch axis, cut into parts, and the others; None where the rest is."""
    is_cut = jax.tree.map(lambda leaf: leaf.ndim > 0 and leaf.shape[0] == batch_size, tree)
    cut = jax.tree.map(lambda leaf, cut: _cut(leaf, parts) if cut else None, tree, is_cut)
    return cut, jax.tree.map(lambda leaf, cut: None if cut else leaf, tree, is_cut)


def _merge(some: Any, others: Any) -> Any:
    """One tree of two that have None where the other has a leaf."""
    return jax.tree.map(lambda a, b: b if a is None else a, some, others, is_leaf=_is_none)


def _where(tree: Any, parts: Any, *, of_parts: bool) -> Any:
    """The leaves that are cut, or the others, and None elsewhere."""
    return jax.tree.map(
        lambda part, leaf: leaf if (part is not None) == of_parts else None,
        parts, tree, is_leaf=_is_none,
    )  # fmt: skip


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _cut(leaf: Array, parts: int) -> Array:
    """[batch, ...] to [parts, batch / parts, ...]; every device cuts what it holds, in place."""
    return jnp.moveaxis(leaf.reshape(leaf.shape[0] // parts, parts, *leaf.shape[1:]), 1, 0)


def _join(parts: Array) -> Array:
    """The inverse of `_cut`."""
    return jnp.moveaxis(parts, 0, 1).reshape(-1, *parts.shape[2:])
