"""Which inputs a function depends on, found by tracing it."""

from collections.abc import Callable
from typing import Any

import jax


def reads(function: Callable[..., Any], *arguments: Any) -> list[bool]:
    """For every leaf of the arguments, whether the function's outputs may depend on it.

    >>> import jax.numpy as jnp
    >>> reads(lambda d: d["a"] * 2, {"a": jnp.ones(3), "b": jnp.ones(2)})
    [True, False]
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed = {id(v) for v in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(v) in needed for v in equation.outvars):
            needed |= {id(v) for v in equation.invars}
    return [id(v) in needed for v in jaxpr.invars]


def split(leaves: list[Any], chosen: list[bool]) -> tuple[list[Any], list[Any]]:
    """The leaves that were chosen, and the others."""
    yes = [leaf for leaf, is_chosen in zip(leaves, chosen, strict=True) if is_chosen]
    no = [leaf for leaf, is_chosen in zip(leaves, chosen, strict=True) if not is_chosen]
    return yes, no


def merge(yes: list[Any], no: list[Any], chosen: list[bool]) -> list[Any]:
    """Undoes `split`."""
    a, b = iter(yes), iter(no)
    return [next(a) if is_chosen else next(b) for is_chosen in chosen]
