"""The plain LSTM over time in C++, on CPUs (`lstm.cc`).

The loop runs in two calls that XLA makes, forwards and backwards, each with threads of its own.
What a step multiplies it activates at once, in registers; weights are packed once for all steps;
and the weight gradients are products over all time, as in `lstm_jax.kernels.deferred`.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array, Carry, Cell, Params
from lstm_jax.cells.lstm_equations import LSTMCarry
from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.batching import run_batched
from lstm_jax.kernels.native import library
from lstm_jax.kernels.steps import Steps, vary_like

# What the loop reads; what else there is (a learned initial carry) it was given as `start`.
_READ = ("kernel", "recurrent_kernel", "bias")


def run(
    cell: Cell,
    params: Params,
    carry: Carry,
    start: Carry,
    steps: Steps,
    *,
    reverse: bool = False,
    unroll: int = 1,
    carries: bool = False,
) -> tuple[Carry, Any]:
    """Equals `lstm_jax.kernels.reference.run`, in value and gradient, for the plain LSTM."""
    del cell, unroll
    assert not carries
    read = {name: params[name] for name in _READ}
    inputs = (steps.xs, steps.mask, steps.resets)
    return run_batched(_Loop(reverse), read, (carry, start), inputs)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """A loop `(params, (carry, start), (xs, mask, resets)) -> (carry, ys)`."""

    reverse: bool

    def __call__(self, params: Params, carries: Any, inputs: Any) -> Any:
        return _loop(self, params, carries, inputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loop(loop: _Loop, params: Params, carries: Any, inputs: Any) -> Any:
    return _call_forward(loop, params, carries, inputs, keep=False)[0]


def _forward(loop: _Loop, params: Params, carries: Any, inputs: Any) -> tuple[Any, Any]:
    results, kept = _call_forward(loop, params, carries, inputs, keep=True)
    return results, (params, inputs, kept)


def _call_forward(loop: _Loop, params: Params, carries: Any, inputs: Any, *, keep: bool) -> Any:
    """The carry and outputs, and what the way back reads; that is of one step if not wanted."""
    xs, mask, resets = inputs
    time, batch_shape = xs.shape[0], xs.shape[1:-1]
    batch, units = math.prod(batch_shape), params["recurrent_kernel"].shape[0]
    kept_time = time if keep else 0
    shapes = [(time, batch, units), (batch, units), (batch, units)]
    shapes += [(kept_time, batch, size) for size in (4 * units, units, units)]
    flat = [leaf.reshape(batch, units) for carry in carries for leaf in carry]
    ys, cell, hidden, *kept = _call("lstm_forward", shapes, reverse=loop.reverse, keep=keep)(
        xs.reshape(time, batch, xs.shape[-1]),
        *(params[name] for name in _READ),
        *flat,
        _flags(mask, time, batch),
        _flags(resets, time, batch),
    )
    carry = LSTMCarry(*(leaf.reshape(*batch_shape, units) for leaf in (cell, hidden)))
    return (carry, ys.reshape(time, *batch_shape, units)), kept


def _backward(loop: _Loop, saved: Any, cotangents: Any) -> tuple[Any, Any, Any]:
    """The C++ loop yields the cotangent of the gates; the rest is three products over all time."""
    params, (xs, mask, resets), (gates, cells, hiddens) = saved
    d_carry, d_ys = cotangents
    time, batch, units = cells.shape
    width = 4 * units
    shapes = [gates.shape, (xs.shape[-1], width), (units, width), (width,), *[(batch, units)] * 4]
    d_gates, d_kernel, d_recurrent_kernel, d_bias, *d_states = _call(
        "lstm_backward", shapes, input_output_aliases={0: 0}, reverse=loop.reverse
    )(
        gates,
        xs.reshape(time, batch, xs.shape[-1]),
        cells,
        hiddens,
        params["recurrent_kernel"],
        d_ys.reshape(time, batch, units),
        *(leaf.reshape(batch, units) for leaf in d_carry),
        _flags(mask, time, batch),
        _flags(resets, time, batch),
    )
    d_params = {
        "kernel": d_kernel,
        "recurrent_kernel": d_recurrent_kernel,
        "bias": d_bias,
    }
    d_xs = jnp.einsum("tbg,ig->tbi", d_gates, params["kernel"]).reshape(xs.shape)
    shape = (*xs.shape[1:-1], units)
    d_cell, d_hidden, d_start_cell, d_start_hidden = (d.reshape(shape) for d in d_states)
    d_carries = LSTMCarry(d_cell, d_hidden), LSTMCarry(d_start_cell, d_start_hidden)
    return d_params, d_carries, (d_xs, None, None)


_loop.defvjp(_forward, _backward)


def _call(target: str, shapes: Any, input_output_aliases: Any = None, **attributes: Any) -> Any:
    call = jax.ffi.ffi_call(
        library.PREFIX + target,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        vmap_method="sequential",
        input_output_aliases=input_output_aliases,
    )

    def varying(*arguments: Array) -> Any:
        # Under shard_map XLA's types do not say of a call's results over which axes they vary.
        return vary_like(call(*arguments, **attributes), arguments)

    return varying


def _flags(flags: Array | None, time: int, batch: int) -> Array:
    """The flags of all steps; none at all, where nothing is said."""
    return jnp.zeros(0, bool) if flags is None else flags.reshape(time, batch)


def _lacking(cell: Cell, request: Request) -> str | None:
    if request.platform != "cpu":
        return f"the C++ kernels are for CPUs, and programs run on {request.platform} here"
    if cell.kind != "lstm":
        return "the C++ kernels have the plain LSTM alone"
    if request.dtypes != {"float32"}:
        return f"the C++ kernels have float32 alone, not {', '.join(sorted(request.dtypes))}"
    if request.carries:
        return "the C++ kernels yield only the last carry"
    return library.problem()


def _avoided(cell: Cell, request: Request) -> str | None:
    del cell, request
    # XLA cannot cut a call: of an array that is spread over devices it would gather all.
    if jax.local_device_count("cpu") > 1:
        return "not taken by auto where the CPU is several devices"
    return None


BACKEND = Backend(
    name="native",
    run=run,
    reason="all steps in one call of a C++ kernel",
    lacking=_lacking,
    avoided=_avoided,
)
