"""The convolutional LSTM over time in C++, on CPUs (`conv_lstm.cc`).

As the LSTM's (`lstm.py`): one call forwards and one backwards, each with threads of its own. Frames
stand with a border of zeros, so that the convolution is a product over pieces of them in place. The
gradient of the inputs, where it is wanted, is one convolution after the loop.
"""

import math
from typing import Any

import jax
import numpy as np

from lstm_jax.cells import Carry, Cell, Params
from lstm_jax.cells.conv_lstm import conv_lstm
from lstm_jax.cells.convolution import convolve
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
    """Equals `lstm_jax.kernels.reference.run`, in value and gradient, for `conv_lstm`."""
    del unroll
    assert not carries
    _require_shapes(params, steps.xs.shape, cell.input_axes - 1, carry, start)
    return loop.run(_CALLS, params, carry, start, steps, reverse)


def _require_shapes(params: Params, xs: Any, dimensions: int, *carries: Carry) -> None:
    units, window = carries[0].cell.shape[-1], params["kernel"].shape[:dimensions]
    shapes = {
        "kernel": (*window, xs[-1], 4 * units),
        "recurrent_kernel": (*window, units, 4 * units),
        "bias": (4 * units,),
    }
    loop.require_shapes(params, shapes, f"inputs of {xs[-1]} channels and {units} units")
    for carry in carries:
        for name, leaf in carry._asdict().items():
            if leaf.shape != (*xs[1:-1], units):
                raise ValueError(
                    f"carry.{name} must have shape {(*xs[1:-1], units)}, got {leaf.shape}"
                )


def _cell(params: Params) -> Cell:
    *window, units, _ = params["recurrent_kernel"].shape
    dimensions: Any = len(window)
    return conv_lstm(units, dimensions=dimensions, kernel_size=window[0])


def _forward(params: Params, carries: Any, inputs: Any, *, reverse: bool, keep: bool) -> Any:
    xs, mask, resets = inputs
    time, channels, units = xs.shape[0], xs.shape[-1], carries[0].cell.shape[-1]
    rows, bordered, batch_shape, attributes = _layout(params, xs)
    kept_time = time if keep else 0
    shapes = [(time, rows, units), (rows, units), (rows, units)]
    shapes += [(kept_time, rows, 4 * units), (kept_time, rows, units)]
    shapes += [(kept_time, bordered, units)]
    flat = [leaf.reshape(rows, units) for carry in carries for leaf in carry]
    function = loop.call("conv_lstm_forward", shapes, reverse=reverse, keep=keep, **attributes)
    ys, cell, hidden, *kept = function(
        xs.reshape(time, rows, channels),
        *(params[name] for name in loop.READ),
        *flat,
        loop.flags(mask, time, math.prod(batch_shape)),
        loop.flags(resets, time, math.prod(batch_shape)),
    )
    shape = (*xs.shape[1:-1], units)
    carry = LSTMCarry(cell.reshape(shape), hidden.reshape(shape))
    return (carry, ys.reshape(time, *shape)), kept


def _backward(params: Params, inputs: Any, kept: Any, cotangents: Any, *, reverse: bool) -> Any:
    (xs, mask, resets), (gates, cells, hiddens) = inputs, kept
    d_carry, d_ys = cotangents
    time, rows, units = cells.shape
    _, _, batch_shape, attributes = _layout(params, xs)
    batch, space = math.prod(batch_shape), xs.shape[1 + len(batch_shape) : -1]
    shapes = [gates.shape, *(params[name].shape for name in loop.READ), *[(rows, units)] * 4]
    function = loop.call(
        "conv_lstm_backward",
        shapes,
        input_output_aliases={0: 0},
        reverse=reverse,
        **attributes,
    )
    d_gates, *d_params, d_cell, d_hidden, d_start_cell, d_start_hidden = function(
        gates,
        xs.reshape(time, rows, xs.shape[-1]),
        cells,
        hiddens,
        params["recurrent_kernel"],
        d_ys.reshape(time, rows, units),
        *(leaf.reshape(rows, units) for leaf in d_carry),
        loop.flags(mask, time, batch),
        loop.flags(resets, time, batch),
    )
    frames = jax.ShapeDtypeStruct((time * batch, *space, xs.shape[-1]), xs.dtype)
    (d_xs,) = jax.linear_transpose(lambda x: convolve(x, params["kernel"]), frames)(
        d_gates.reshape(time * batch, *space, 4 * units)
    )
    shape = (*xs.shape[1:-1], units)
    d_carries = (
        LSTMCarry(d_cell.reshape(shape), d_hidden.reshape(shape)),
        LSTMCarry(d_start_cell.reshape(shape), d_start_hidden.reshape(shape)),
    )
    return dict(zip(loop.READ, d_params, strict=True)), d_carries, d_xs.reshape(xs.shape)


_CALLS = loop.Calls(_cell, _forward, _backward)


def _layout(params: Params, xs: Any) -> tuple[int, int, tuple[int, ...], dict[str, Any]]:
    """Places of all examples, those of frames with a border, the batch axes; what C++ is told."""
    window = params["kernel"].shape[:-2]
    axes = xs.ndim - 1 - len(window)
    batch_shape, space = xs.shape[1:axes], xs.shape[axes:-1]
    batch = math.prod(batch_shape)
    bordered = [size + width - 1 for size, width in zip(space, window, strict=True)]
    missing = (1,) * (3 - len(window))  # in C++ all spaces have three axes
    attributes = {
        "batch": np.int64(batch),
        "size": np.array(missing + space, np.int64),
        "window": np.array(missing + window, np.int64),
    }
    return batch * math.prod(space), batch * math.prod(bordered), batch_shape, attributes
