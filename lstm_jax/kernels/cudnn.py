"""The plain LSTM over time in NVIDIA's cuDNN, through `jax.experimental.rnn`.

Ours and cuDNN's LSTM have the same equations and the same order of gates. cuDNN has examples
before time, matrices that multiply from the left, two biases, and all weights in one vector:

    kernel^T [4 * hidden, input], recurrent_kernel^T [4 * hidden, hidden], bias [4 * hidden],
    a second bias [4 * hidden], here zeros

On a GPU tests/kernels/test_cudnn_on_gpu.py holds it against the reference, in value and gradient.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jax.experimental import rnn
from jax.experimental.layout import Layout, with_layout_constraint

from lstm_jax.cells import Array, Carry, Cell, LSTMCarry, Params
from lstm_jax.cells.varying import vary_like
from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.batching import run_batched
from lstm_jax.kernels.steps import Steps, choose, zeros_where_not

# What jax.default_matmul_precision may ask for where TensorFloat-32 is no worse.
_TF32_SUFFICES = (None, "default", "high", "bfloat16", "tensorfloat32")


def run(
    cell: Cell,
    params: Params,
    carry: LSTMCarry,
    start: LSTMCarry,
    steps: Steps,
    *,
    reverse: bool = False,
    unroll: int = 1,
    carries: bool = False,
) -> tuple[Carry, Array]:
    """Equals `lstm_jax.kernels.reference.run` for the plain LSTM.

    Without resets, and with a mask only where every example is valid up to some step.
    """
    assert steps.resets is None
    assert not carries
    del cell, start, unroll
    asked = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    tf32 = asked in _TF32_SUFFICES
    precision = jax.lax.Precision.HIGH if tf32 else jax.lax.Precision.HIGHEST
    read = {name: params[name] for name in ("kernel", "recurrent_kernel", "bias")}
    return run_batched(_Layer(reverse, precision), read, carry, (steps.xs, steps.mask))


def pack(params: Params) -> Array:
    """All weights as the vector that cuDNN takes."""
    bias = params["bias"]
    parts = (params["kernel"].T, params["recurrent_kernel"].T, bias, jnp.zeros_like(bias))
    return jnp.concatenate([part.reshape(-1) for part in parts])


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A run `(params, carry, (xs, mask)) -> (carry, ys)` with any batch axes."""

    reverse: bool
    precision: jax.lax.Precision

    def __call__(self, params: Params, carry: LSTMCarry, inputs: Any) -> tuple[LSTMCarry, Array]:
        xs, mask = inputs
        time, *batch_shape, input_size = xs.shape
        hidden_size = carry.hidden.shape[-1]
        x_btd = jnp.moveaxis(xs.reshape(time, -1, input_size), 0, 1)
        h_bh, c_bh = (a.reshape(-1, hidden_size) for a in (carry.hidden, carry.cell))
        mask_bt = None if mask is None else mask.reshape(time, -1).T
        y_bth, h_bh, c_bh = self._flat(pack(params), x_btd, h_bh, c_bh, mask_bt)
        carry = LSTMCarry(*(a.reshape(*batch_shape, hidden_size) for a in (c_bh, h_bh)))
        return carry, jnp.moveaxis(y_bth, 1, 0).reshape(time, *batch_shape, hidden_size)

    def _flat(
        self, weights: Array, x_btd: Array, h_bh: Array, c_bh: Array, mask_bt: Array | None
    ) -> tuple[Array, Array, Array]:
        batch, time, input_size = x_btd.shape
        if mask_bt is None:
            lengths_b = jnp.full(batch, time, jnp.int32)
        else:
            # A sequence without a step is none to cuDNN: it runs one, whose result is not taken.
            lengths_b = jnp.maximum(1, mask_bt.sum(axis=1, dtype=jnp.int32))
        turn = functools.partial(_turned, mask_bt=mask_bt) if self.reverse else lambda a_bt: a_bt
        sizes = _Sizes(input_size, h_bh.shape[-1], self.precision)
        made: Any = _lstm(sizes, turn(x_btd), h_bh[None], c_bh[None], weights, lengths_b)
        y_bth, h_1bh, c_1bh = made
        # Chosen, not multiplied: nothing that cuDNN leaves in the padding of a gradient comes on.
        y_bth = zeros_where_not(mask_bt, turn(y_bth))
        begun_b = None if mask_bt is None else mask_bt.any(axis=1)
        return y_bth, *choose(begun_b, (h_1bh[0], c_1bh[0]), (h_bh, c_bh))


def _turned(a_bth: Array, mask_bt: Array | None) -> Array:
    """The valid steps from the last to the first, before the others."""
    if mask_bt is None:
        return jnp.flip(a_bth, axis=1)
    step_t, length_b1 = jnp.arange(a_bth.shape[1]), mask_bt.sum(axis=1, keepdims=True)
    order_bt = jnp.where(mask_bt, length_b1 - 1 - step_t, step_t)
    return jnp.take_along_axis(a_bth, order_bt[..., None], axis=1)


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """What `jax.experimental.rnn` wants to know beside its arrays."""

    input_size: int
    hidden_size: int
    precision: jax.lax.Precision

    def keywords(self) -> dict[str, Any]:
        layer = {"num_layers": 1, "dropout": 0.0, "bidirectional": False}
        return dataclasses.asdict(self) | layer


def _row_major(arrays: Any) -> Any:
    """Arrays that lie in memory as their axes stand.

    cuDNN reads them so, but the calls of `jax.experimental.rnn` do not say it to the compiler,
    which gives them, in place of a transposed array, the array itself
    (https://github.com/jax-ml/jax/issues/19177).
    """

    def constrained(array: Array) -> Array:
        return with_layout_constraint(array, Layout(tuple(range(array.ndim))))

    return jax.tree.map(constrained, arrays)


# `rnn.lstm` again, with both its calls made one after another under `vmap`, where cuDNN has no
# batch of weights: so runs a population of models, whose parameters are mapped.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm(sizes: _Sizes, *arrays: Array) -> Any:
    return _forward(sizes, *arrays)[0]


def _forward(sizes: _Sizes, *arrays: Array) -> Any:
    def call(*arrays: Array) -> Any:
        return _row_major(rnn.lstm_fwd(*_row_major(arrays), **sizes.keywords()))

    # JAX takes the outputs for the same on all devices of a `jax.shard_map`; they are not.
    return vary_like(sequential_vmap(call)(*arrays), arrays)


def _backward(sizes: _Sizes, kept: Any, cotangents: Any) -> Any:
    def gradients(kept: Any, cotangents: Any) -> Any:
        read = {"residuals": _row_major(kept), "gradients": _row_major(cotangents)}
        found = rnn.lstm_bwd(**read, **sizes.keywords())
        return _row_major(found[:4])  # the fifth is that of the lengths

    return *sequential_vmap(gradients)(kept, cotangents), None


_lstm.defvjp(_forward, _backward)


def _lacking(cell: Cell, request: Request) -> str | None:
    if request.platform != "cuda":
        return f"cuDNN needs an NVIDIA GPU, and programs run on {request.platform} here"
    if cell.kind != "lstm":
        return "cuDNN has the plain LSTM alone"
    if request.dtypes != {"float32"}:
        return f"jax.experimental.rnn has float32 alone, not {', '.join(sorted(request.dtypes))}"
    if request.mask == "any":
        return "cuDNN has lengths and no masks"
    if request.resets:
        return "cuDNN has no resets"
    if request.carries:
        return "cuDNN yields only the last carry"
    if not request.time * request.batch:
        return "cuDNN needs a step and an example"
    return None


BACKEND = Backend(
    name="cudnn",
    run=run,
    reason="NVIDIA's cuDNN, all steps in one call",
    lacking=_lacking,
)
