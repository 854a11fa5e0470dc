"""Named parts of an optimiser's state, found and replaced wherever they stand in it."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

T = TypeVar("T")


def find_states(opt_state: Any, kind: type[T]) -> list[T]:
    """Every state of a kind, in order.

    >>> import optax
    >>> state = optax.chain(optax.clip(1.0), optax.adam(0.1)).init({"w": jax.numpy.ones(2)})
    >>> [int(found.count) for found in find_states(state, optax.ScaleByAdamState)]
    [0]
    """
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, kind))
    return [leaf for leaf in leaves if isinstance(leaf, kind)]


def replace_states(opt_state: Any, kind: type[T], function: Callable[[T], T]) -> Any:
    """The optimiser's state with every state of a kind passed through `function`."""
    return jax.tree.map(
        lambda node: function(node) if isinstance(node, kind) else node,
        opt_state,
        is_leaf=lambda node: isinstance(node, kind),
    )
