"""A run over time cut into chunks whose insides are computed again in the backward pass."""

import math
from collections.abc import Callable
from typing import Any

import jax

Run = Callable[[Any, Any], tuple[Any, Any]]  # (carry, steps) -> (carry, outputs)


def run_in_chunks(run: Run, carry: Any, steps: Any, *, chunk: int, reverse: bool) -> Any:
    """Runs chunk after chunk and keeps only the carries between them for the derivative.

    With chunks of the square root of the length, memory grows as the square root of the length
    (T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174).

    Args:
      run: runs any number of steps.
      carry: the carry to begin with.
      steps: a pytree with a leading time axis.
      chunk: steps in a chunk; the rest of the length makes a shorter one at the end.
      reverse: from the last chunk to the first.
    """
    length = jax.tree.leaves(steps)[0].shape[0]
    whole = length // chunk * chunk
    body = jax.checkpoint(run)
    head, tail = _cut(steps, 0, whole), _cut(steps, whole, length)
    chunks = jax.tree.map(lambda x: x.reshape(whole // chunk, chunk, *x.shape[1:]), head)

    def run_head(carry: Any) -> tuple[Any, Any]:
        carry, outputs = jax.lax.scan(body, carry, chunks, reverse=reverse)
        return carry, jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), outputs)

    if whole == length:
        return run_head(carry)
    if reverse:
        carry, last = body(carry, tail)
        carry, first = run_head(carry)
    else:
        carry, first = run_head(carry)
        carry, last = body(carry, tail)
    return carry, jax.tree.map(lambda a, b: jax.numpy.concatenate([a, b]), first, last)


def root_chunk(length: int) -> int:
    """The chunk with which the memory of chunks and of carries between them is least.

    A divisor of the length near its root, where there is one: else the inputs of all whole chunks
    are copied, to be apart from the rest.

    >>> root_chunk(1024), root_chunk(32768), root_chunk(257)
    (32, 128, 16)
    """
    root = max(1, math.isqrt(length))
    near = [n for n in range(root // 2 + 1, 2 * root + 1) if length % n == 0]
    return min(near, key=lambda n: abs(math.log(n / root)), default=root)


def _cut(tree: Any, begin: int, end: int) -> Any:
    return jax.tree.map(lambda x: x[begin:end], tree)
