"""The plain LSTM over time in C++, on CPUs (`lstm.cc`).

The loop runs in two calls that XLA makes, forwards and backwards, each with threads of its own.
What a step multiplies it activates at once, in registers; weights are packed once for all steps;
and the weight gradients are products over all time, as in `lstm_jax.kernels.deferred`.
"""

import math
from typing import Any

import jax.numpy as jnp

from lstm_jax.cells import Carry, Cell, Params, lstm
from lstm_jax.cells.lstm_equations import LSTMCarry
from lstm_jax.kernels.native import loop
from lstm_jax.kernels.steps import Steps


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
    return loop.run(_CALLS, params, carry, start, steps, reverse)


def _require_shapes(params: Params, input_size: int, *carries: Carry) -> None:
    units = carries[0].cell.shape[-1]
    shapes = {"kernel": (input_size, 4 * units), "recurrent_kernel": (units, 4 * units)}
    about = f"inputs of size {input_size} and {units} units"
    loop.require_shapes(params, shapes | {"bias": (4 * units,)}, about)
    for carry in carries:
        for name, leaf in carry._asdict().items():
            if leaf.shape[-1] != units:
                raise ValueError(f"carry.{name} must have {units} units, got {leaf.shape[-1]}")


def _cell(params: Params) -> Cell:
    return lstm(params["recurrent_kernel"].shape[0])


def _forward(params: Params, carries: Any, inputs: Any, *, reverse: bool, keep: bool) -> Any:
    xs, mask, resets = inputs
    time, batch_shape = xs.shape[0], xs.shape[1:-1]
    batch, units = math.prod(batch_shape), params["recurrent_kernel"].shape[0]
    kept_time = time if keep else 0
    shapes = [(time, batch, units), (batch, units), (batch, units)]
    shapes += [(kept_time, batch, size) for size in (4 * units, units, units)]
    flat = [leaf.reshape(batch, units) for carry in carries for leaf in carry]
    ys, cell, hidden, *kept = loop.call("lstm_forward", shapes, reverse=reverse, keep=keep)(
        xs.reshape(time, batch, xs.shape[-1]),
        *(params[name] for name in loop.READ),
        *flat,
        loop.flags(mask, time, batch),
        loop.flags(resets, time, batch),
    )
    carry = LSTMCarry(*(leaf.reshape(*batch_shape, units) for leaf in (cell, hidden)))
    return (carry, ys.reshape(time, *batch_shape, units)), kept


def _backward(params: Params, inputs: Any, kept: Any, cotangents: Any, *, reverse: bool) -> Any:
    # The C++ loop yields all gradients but that of the inputs, which is one product.
    (xs, mask, resets), (gates, cells, hiddens) = inputs, kept
    d_carry, d_ys = cotangents
    time, batch, units = cells.shape
    width = 4 * units
    shapes = [
        gates.shape,
        (xs.shape[-1], width),
        (units, width),
        (width,),
        *[(batch, units)] * 4,
    ]
    d_gates, d_kernel, d_recurrent_kernel, d_bias, *d_states = loop.call(
        "lstm_backward", shapes, input_output_aliases={0: 0}, reverse=reverse
    )(
        gates,
        xs.reshape(time, batch, xs.shape[-1]),
        cells,
        hiddens,
        params["recurrent_kernel"],
        d_ys.reshape(time, batch, units),
        *(leaf.reshape(batch, units) for leaf in d_carry),
        loop.flags(mask, time, batch),
        loop.flags(resets, time, batch),
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


_CALLS = loop.Calls(_cell, _forward, _backward)
