"""`vmap` of a run over time as a run over a larger batch.

Under `vmap`, the derivative of a function with a rule of its own forms the gradient of shared
weights example by example and adds them up afterwards: a matrix an example. A run over time takes a
batch already, so `vmap` with shared parameters becomes one more batch axis, and the gradient is one
product over time and batch. Per-example gradients, `vmap` of `grad`, are what they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

# A function `(params, carries, inputs) -> (carry, outputs)`: batch axes lead in params' partner
# `carries` and in the carry returned, and come behind time in `inputs` and outputs.
Run = Callable[[Any, Any, Any], Any]

_primitive = Primitive("lstm_jax_run")
_primitive.multiple_results = True


def run_batched(function: Run, params: Any, carries: Any, inputs: Any) -> Any:
    """Calls the function; `vmap` of this call adds a batch axis to its arguments."""
    groups = (params, carries, inputs)
    leaves, structure = jax.tree.flatten(groups)
    sizes = tuple(len(jax.tree.leaves(group)) for group in groups)
    return _bind(leaves, function, structure, sizes)


def _bind(leaves: Any, function: Run, structure: Any, sizes: Any) -> Any:
    """The outputs of the function, `(carry, outputs)`, as results of the primitive."""
    call = functools.partial(_run, function, structure)
    # Types are taken from the trace: they also say over which mesh axes a value varies.
    jaxpr, shapes = jax.make_jaxpr(call, return_shape=True)(*leaves)
    flat = _primitive.bind(
        *leaves, function=function, structure=structure, sizes=sizes, types=tuple(jaxpr.out_avals)
    )
    return jax.tree.unflatten(jax.tree.structure(shapes), flat)


def _run(function: Run, structure: Any, *leaves: Any) -> Any:
    return function(*structure.unflatten(leaves))


def _call(*leaves: Any, function: Run, structure: Any, **_: Any) -> list[Any]:
    return jax.tree.leaves(_run(function, structure, *leaves))


def _batch(leaves: Any, axes: Any, *, function: Run, structure: Any, sizes: Any, types: Any) -> Any:
    del types
    size = next(
        leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None
    )
    if any(axis is not None for axis in axes[: sizes[0]]):
        return _batch_params(leaves, axes, function, structure)
    # Time leads in the inputs, so that the new axis comes second there.
    places = [0] * (sizes[0] + sizes[1]) + [1] * sizes[2]
    moved = [
        leaf if i < sizes[0] else _with_axis(leaf, axis, place, size)
        for i, (leaf, axis, place) in enumerate(zip(leaves, axes, places, strict=True))
    ]
    carry, outputs = map(jax.tree.leaves, _bind(moved, function, structure, sizes))
    return [*carry, *outputs], [0] * len(carry) + [1] * len(outputs)


def _batch_params(leaves: Any, axes: Any, function: Run, structure: Any) -> Any:
    """Several models at once: each its own parameters, so nothing is shared."""
    call = functools.partial(_call, function=function, structure=structure)
    flat = jax.vmap(call, tuple(axes))(*leaves)
    return flat, [0] * len(flat)


def _with_axis(leaf: Any, axis: Any, place: int, size: int) -> Any:
    if axis is None:
        leaf = jnp.expand_dims(leaf, place)
        return jnp.broadcast_to(leaf, (*leaf.shape[:place], size, *leaf.shape[place + 1 :]))
    return jnp.moveaxis(leaf, axis, place)


def _differentiate(primals: Any, tangents: Any, **options: Any) -> Any:
    tangents = [ad.instantiate_zeros(t) for t in tangents]
    return jax.jvp(lambda *leaves: _call(*leaves, **options), tuple(primals), tuple(tangents))


_primitive.def_impl(
    lambda *leaves, **options: jax.jit(_call, static_argnames=tuple(options))(*leaves, **options)
)
_primitive.def_abstract_eval(lambda *_, types, **__: list(types))
mlir.register_lowering(_primitive, mlir.lower_fun(_call, multiple_results=True))
batching.primitive_batchers[_primitive] = _batch
ad.primitive_jvps[_primitive] = _differentiate
