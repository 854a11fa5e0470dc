"""Marks of arrays that differ from device to device, under `jax.shard_map`."""

from typing import Any

import jax

Array = jax.Array


def vary_like(tree: Any, *others: Any) -> Any:
    """Marks arrays as different on every device where others are, under `jax.shard_map`.

    A loop must not change the type of its carry, and the derivative of shared parameters must be
    summed over the devices: the transpose of this mark is that sum.
    """
    axes = frozenset().union(*(_varies(leaf) for leaf in jax.tree.leaves(others)))

    def mark(leaf: Array) -> Array:
        missing = tuple(sorted(axes - _varies(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(mark, tree) if axes else tree


def _varies(leaf: Any) -> frozenset[Any]:
    kind = jax.typeof(leaf)
    # jax 0.11 gave the set of axes a type of its own.
    newer = getattr(kind, "manual_axis_type", None)
    return getattr(kind, "vma", frozenset()) if newer is None else newer.varying
