"""A cell over time as calls of C++: its derivatives of any order, and how a call is made."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.cells.varying import vary_like
from lstm_jax.kernels import reference
from lstm_jax.kernels.batching import run_batched
from lstm_jax.kernels.native import library
from lstm_jax.kernels.steps import Steps

# What the loops read; what else there is (a learned initial carry) they are given as `start`.
READ = ("kernel", "recurrent_kernel", "bias")


class Calls(NamedTuple):
    """The calls of one kind of cell.

    Attributes:
      cell: `(params) -> cell`, the cell that has these parameters.
      forward: `(params, carries, inputs, *, reverse, keep) -> ((carry, ys), kept)`; what the way
        back reads is of no step where it is not to be kept.
      backward: `(params, inputs, kept, cotangents, *, reverse) -> (d_params, d_carries, d_xs)`.
    """

    cell: Callable[[Params], Cell]
    forward: Callable[..., Any]
    backward: Callable[..., Any]


def run(
    calls: Calls, params: Params, carry: Carry, start: Carry, steps: Steps, reverse: bool
) -> Any:
    """Equals `lstm_jax.kernels.reference.run`, in value and gradient, for the cell of the calls."""
    read = {name: params[name] for name in READ}
    inputs = (steps.xs, steps.mask, steps.resets)
    return run_batched(_Loop(calls, reverse), read, (carry, start), inputs)


def require_shapes(params: Params, shapes: dict[str, tuple[int, ...]], inputs: str) -> None:
    """Makes sure that C++ reads no memory but that of the arrays.

    Raises:
      ValueError: a parameter does not have its shape.
    """
    for name, shape in shapes.items():
        if params[name].shape != shape:
            raise ValueError(
                f"{name} must have shape {shape} for {inputs}, got {params[name].shape}"
            )


@dataclasses.dataclass(frozen=True)
class _Loop:
    """A loop `(params, (carry, start), (xs, mask, resets)) -> (carry, ys)`."""

    calls: Calls
    reverse: bool

    def __call__(self, params: Params, carries: Any, inputs: Any) -> Any:
        return _loop(self, params, carries, inputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loop(loop: _Loop, params: Params, carries: Any, inputs: Any) -> Any:
    return loop.calls.forward(params, carries, inputs, reverse=loop.reverse, keep=False)[0]


def _forward(loop: _Loop, params: Params, carries: Any, inputs: Any) -> tuple[Any, Any]:
    results, kept = _run_and_keep(loop, params, carries, inputs)
    return results, (params, carries, inputs, kept)


def _backward(loop: _Loop, saved: Any, cotangents: Any) -> tuple[Any, Any, Any]:
    params, carries, inputs, kept = saved
    d_params, d_carries, d_xs = _gradients(loop, params, carries, inputs, kept, cotangents)
    return d_params, d_carries, (d_xs, None, None)


_loop.defvjp(_forward, _backward)


# XLA cannot look into a call, so derivatives of the two below, which a second derivative takes, are
# those of the reference. What the first keeps for the second has none: it follows from the rest.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run_and_keep(loop: _Loop, params: Params, carries: Any, inputs: Any) -> tuple[Any, Any]:
    return loop.calls.forward(params, carries, inputs, reverse=loop.reverse, keep=True)


@_run_and_keep.defjvp
def _run_and_keep_jvp(loop: _Loop, primals: Any, tangents: Any) -> Any:
    params, carries, (xs, mask, resets) = primals
    results, kept = _run_and_keep(loop, *primals)
    d_params, d_carries, (d_xs, *_) = tangents
    plain = functools.partial(_reference, loop, mask, resets)
    _, d_results = jax.jvp(plain, (params, carries, xs), (d_params, d_carries, d_xs))
    return (results, kept), (d_results, jax.tree.map(jnp.zeros_like, kept))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _gradients(
    loop: _Loop, params: Params, carries: Any, inputs: Any, kept: Any, cotangents: Any
) -> Any:
    del carries
    return loop.calls.backward(params, inputs, kept, cotangents, reverse=loop.reverse)


@_gradients.defjvp
def _gradients_jvp(loop: _Loop, primals: Any, tangents: Any) -> Any:
    params, carries, (xs, mask, resets), _, cotangents = primals
    d_params, d_carries, (d_xs, *_), _, d_cotangents = tangents

    def plain(params: Params, carries: Any, xs: Array, cotangents: Any) -> Any:
        run = functools.partial(_reference, loop, mask, resets)
        return jax.vjp(run, params, carries, xs)[1](cotangents)

    at, moved = (params, carries, xs, cotangents), (d_params, d_carries, d_xs, d_cotangents)
    return _gradients(loop, *primals), jax.jvp(plain, at, moved)[1]


def _reference(
    loop: _Loop, mask: Any, resets: Any, params: Params, carries: Any, xs: Array
) -> tuple[Carry, Array]:
    carry, start = carries
    steps, cell = Steps(xs, mask, resets), loop.calls.cell(params)
    return reference.run(cell, params, carry, start, steps, reverse=loop.reverse)


def call(target: str, shapes: Any, input_output_aliases: Any = None, **attributes: Any) -> Any:
    """A function of arrays that calls C++ for results of these shapes."""
    function = jax.ffi.ffi_call(
        library.PREFIX + target,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        vmap_method="sequential",
        input_output_aliases=input_output_aliases,
    )

    def varying(*arguments: Array) -> Any:
        # Under shard_map XLA's types do not say of a call's results over which axes they vary.
        return vary_like(function(*arguments, **attributes), arguments)

    return varying


def flags(flags: Array | None, time: int, batch: int) -> Array:
    """The flags of all steps; none at all, where nothing is said."""
    return jnp.zeros(0, bool) if flags is None else flags.reshape(time, batch)
