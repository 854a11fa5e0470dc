"""The carry of a network as other libraries keep it: one array of all layers and directions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry
from lstm_jax.interop.layers import Kind

# In the order of torch and ONNX; our carries have the same fields the other way round.
STATES: dict[Kind, tuple[str, ...]] = {
    "lstm": ("hidden", "cell"),
    "gru": ("hidden",),
    "rnn": ("hidden",),
}


def states_of(kind: Kind, carry: Carry) -> tuple[Array, ...]:
    """The states [layers * directions, ..., size] of a carry, layer by layer, forwards first.

    Raises:
      ValueError: layers or directions have different sizes.
    """
    leaves = jax.tree.leaves(carry)
    count = len(STATES[kind])
    states = [leaves[place::count] for place in reversed(range(count))]
    for name, values in zip(STATES[kind], states, strict=True):
        if len({value.shape for value in values}) > 1:
            raise ValueError(f"{name} has another size in another layer: no array can hold all")
    return tuple(jnp.stack(values) for values in states)


def fill_carry(kind: Kind, carry: Carry, states: Sequence[Any]) -> Carry:
    """The carry with `states` in place of its own, the inverse of `states_of`.

    Raises:
      ValueError: there are more or fewer states, or one has a shape that does not fit.
    """
    leaves, tree = jax.tree.flatten(carry)
    names = STATES[kind]
    if len(states) != len(names):
        raise ValueError(f"the states of kind {kind} are {', '.join(names)}; got {len(states)}")
    for name, own, given in zip(names, reversed(leaves[: len(names)]), states, strict=True):
        shape = (len(leaves) // len(names), *own.shape)
        if jnp.shape(given) != shape:
            raise ValueError(
                f"{name} must have shape {shape} (layers * directions, ..., size), "
                f"got {jnp.shape(given)}"
            )
    by_cell = zip(*(jnp.asarray(state) for state in reversed(states)), strict=True)
    return tree.unflatten([one for fields in by_cell for one in fields])
