"""The convolutional LSTM: a layer's output and gradients beside Keras and torch.

    taskset -c 1 python experiments/benchmarks/conv_lstm_speed.py
    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1     # and then the same once more

A layer with windows of 3 by 3 over a sequence of frames, the sum of its squared outputs, and the
gradient of that by parameters and frames. All have the same weights and frames; the sums are
compared. "lstm_jax" is what `scan` takes by itself, the C++ kernel where there is a compiler;
"deferred" is what runs without one, and "convolutions" that with the derivatives that JAX has of
XLA's convolutions. Keras is ConvLSTM2D on its JAX backend, compiled by jax.jit; torch is a
loop over conv2d, channels first, as most programs have it. Reported are milliseconds of CPU,
medians over the rounds: they mean something beside other work too, if all run on one core.
"""

import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np
from options import parser
from report import header, markdown, number, save

import lstm_jax as lj

module: Any = importlib.import_module("lstm_jax.cells.conv_lstm")  # the function hides it
Run = Callable[[], float]  # to the sum, which says that all compute the same


class _Size(NamedTuple):
    batch: int
    time: int
    side: int
    channels: int
    hidden: int

    def __str__(self) -> str:
        frames = f"{self.batch} x {self.time} frames, {self.side} x {self.side} x {self.channels}"
        return f"{frames}, {self.hidden} cells"


_SIZES = [_Size(4, 20, 16, 16, 32), _Size(8, 10, 8, 64, 64), _Size(4, 8, 32, 3, 16)]


def main() -> None:
    """Runs the benchmark, prints the table and keeps it."""
    options = parser(__doc__ or "").parse_args()
    load = os.getloadavg()[0]
    rows = [["ms of CPU, value and gradient", *map(str, _SIZES)]]
    found = [_medians(size, options.rounds) for size in _SIZES]
    for name in found[0]:
        base = [times["lstm_jax"] for times in found]
        cells = [
            f"{number(times[name])} ({times[name] / own:.2f})"
            for times, own in zip(found, base, strict=True)
        ]
        rows.append([name, *cells])
    import torch

    large = "glibc.malloc.hugetlb=1" in os.environ.get("GLIBC_TUNABLES", "")
    settings = {
        "memory": "in large pages (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`)"
        if large
        else "as usual",
        "settings": f"float32, medians of {options.rounds} rounds; beside each the ratio to "
        "lstm_jax",
        "Keras": "on its JAX backend",
        "torch": f"{torch.get_num_threads()} threads",
    }
    text = "# The convolutional LSTM beside Keras and torch\n\n" + header(__file__, load, settings)
    save(f"{text}\n{markdown(rows)}\n", options.out, f"conv_lstm_speed{large * '_large_pages'}")


def _medians(size: _Size, rounds: int) -> dict[str, float]:
    cell = lj.conv_lstm(size.hidden)
    params = cell.init(jax.random.key(0), size.channels)
    shape = (size.batch, size.time, size.side, size.side, size.channels)
    frames = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    runs = {
        "lstm_jax": _ours(cell, params, frames, "auto"),
        "lstm_jax, deferred": _ours(cell, params, frames, "deferred"),
        "lstm_jax, convolutions": _with_convolutions(cell, params, frames),
        "Keras": _keras(size, params, frames),
        "torch": _torch(size, params, frames),
    }
    sums = [run() for run in runs.values()]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            run()
            times[name].append((time.process_time() - began) * 1e3)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _ours(cell: Any, params: Any, frames: np.ndarray, backend: Any) -> Run:
    def loss(params: Any, frames: Any) -> Any:
        xs = jnp.swapaxes(frames, 0, 1)
        return jnp.sum(jnp.square(lj.scan(cell, params, None, xs, backend=backend)[1]))

    return _compiled(loss, params, frames)


def _with_convolutions(cell: Any, params: Any, frames: np.ndarray) -> Run:
    def xla(x: Any, kernel: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    own, module.convolve = module.convolve, xla
    try:
        return _ours(cell, params, frames, "deferred")
    finally:
        module.convolve = own


def _compiled(loss: Callable[[Any, Any], Any], params: Any, frames: np.ndarray) -> Run:
    step = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(params, frames).compile()
    return lambda: float(jax.block_until_ready(step(params, frames))[0])


def _keras(size: _Size, params: Any, frames: np.ndarray) -> Run:
    import keras

    layer = keras.layers.ConvLSTM2D(
        size.hidden, 3, padding="same", return_sequences=True, recurrent_activation="sigmoid"
    )
    layer.build(frames.shape)
    # Keras has the gates in the same order: i f g o.
    layer.set_weights([params["kernel"], params["recurrent_kernel"], params["bias"]])
    weights = [v.value for v in layer.trainable_variables]

    def loss(weights: Any, frames: Any) -> Any:
        fixed = [v.value for v in layer.non_trainable_variables]
        return jnp.sum(jnp.square(layer.stateless_call(weights, fixed, frames)[0]))

    return _compiled(loss, weights, frames)


def _torch(size: _Size, params: Any, frames: np.ndarray) -> Run:
    import torch

    def tensor(array: Any, *axes: int) -> Any:
        made = torch.tensor(np.ascontiguousarray(np.transpose(np.asarray(array), axes)))
        return made.requires_grad_()

    kernel, recurrent = (
        tensor(params[name], 3, 2, 0, 1) for name in ("kernel", "recurrent_kernel")
    )
    bias, xs = tensor(params["bias"], 0), tensor(frames, 1, 0, 4, 2, 3)
    convolve = torch.nn.functional.conv2d

    def run() -> float:
        c = h = torch.zeros(size.batch, size.hidden, size.side, size.side)
        projected = convolve(xs.flatten(0, 1), kernel, bias, padding=1)
        total = torch.zeros(())
        for z in projected.unflatten(0, xs.shape[:2]):
            i, f, g, o = (z + convolve(h, recurrent, padding=1)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            total = total + h.square().sum()
        torch.autograd.grad(total, [kernel, recurrent, bias, xs])
        return float(total.detach())

    return run


if __name__ == "__main__":
    main()
