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

from lstm_jax.cells import Array, Carry, Cell, Params, lstm
from lstm_jax.cells.lstm_equations import LSTMCarry
from lstm_jax.kernels import reference
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
    _require_shapes(params, steps.xs.shape[-1], carry, start)
    read = {name: params[name] for name in _READ}
    inputs = (steps.xs, steps.mask, steps.resets)
    return run_batched(_Loop(reverse), read, (carry, start), inputs)


def _require_shapes(params: Params, input_size: int, *carries: Carry) -> None:
    """Makes sure that C++ reads no memory but that of the arrays.

    Raises:
      ValueError: a parameter or carry does not fit the inputs.
    """
    units = carries[0].cell.shape[-1]
    shapes = {"kernel": (input_size, 4 * units), "recurrent_kernel": (units, 4 * units)}
    for name, shape in (shapes | {"bias": (4 * units,)}).items():
        if params[name].shape != shape:
            raise ValueError(
                f"{name} must have shape {shape} for inputs of size {input_size} and "
                f"{units} units, got {params[name].shape}"
            )
    for carry in carries:
        for name, leaf in carry._asdict().items():
            if leaf.shape[-1] != units:
                raise ValueError(f"carry.{name} must have {units} units, got {leaf.shape[-1]}")


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
    return _call_forward(loop, params, carries, inputs, keep=True)


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
    return _call_backward(loop, params, inputs, kept, cotangents)


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
    cell = lstm(params["recurrent_kernel"].shape[0])
    steps = Steps(xs, mask, resets)
    carry, start = carries
    return reference.run(cell, params, carry, start, steps, reverse=loop.reverse)


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


def _call_backward(loop: _Loop, params: Params, inputs: Any, kept: Any, cotangents: Any) -> Any:
    """The gradients; the C++ loop yields all but that of the inputs, which is one product."""
    (xs, mask, resets), (gates, cells, hiddens) = inputs, kept
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
    return d_params, d_carries, d_xs


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
