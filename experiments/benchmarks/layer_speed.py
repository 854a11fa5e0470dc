"""One recurrent layer: lstm_jax beside torch and the JAX libraries, in one interleaved run.

    python experiments/benchmarks/layer_speed.py                # what is installed, all sizes
    python experiments/benchmarks/layer_speed.py --rounds=5 --sizes=0,1 --peers=torch,linen
    python experiments/benchmarks/layer_speed.py --cells=gru,rnn  # cells of ours, beside the lstm

Every round runs every contestant once on every size, so that a busy moment of the machine hits all
alike; reported are medians over the rounds, and ratios to torch (to our own lstm where torch is
absent). `floor` is one matrix product of the same work forward. Set OMP_WAIT_POLICY=passive and
GOMP_SPINCOUNT=0 for torch on a machine with other work: its idle thread spins otherwise.

Peers, none of which the library needs: torch, flax (linen, nnx), dm-haiku, equinox, keras.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lj
from lstm_jax.config import find

SIZES = [  # batch, time, input, hidden
    (1, 512, 64, 64),
    (16, 256, 128, 128),
    (256, 128, 32, 64),
    (32, 100, 256, 256),
    (64, 64, 512, 512),
    (20, 35, 650, 650),
]
Run = Callable[[], object]
Contestant = Callable[[tuple[int, int, int, int], bool], Run]


def jitted(loss, params, xs, gradient: bool) -> Run:
    """A call that computes the loss, or it and its gradients in parameters and inputs."""
    call = jax.jit(jax.value_and_grad(loss, (0, 1)) if gradient else loss)
    return lambda: jax.block_until_ready(call(params, xs))


def inputs(size, batch_first=False):
    """The same numbers for everyone, [time, batch, input] or batch first."""
    batch, time_, width, _ = size
    xs = np.random.default_rng(0).normal(size=(time_, batch, width)).astype(np.float32)
    return np.ascontiguousarray(xs.swapaxes(0, 1)) if batch_first else xs


def ours(cell_name: str, backend: str, **options) -> Contestant:
    """A cell of this library."""

    def make(size, gradient):
        cell = find("cell", cell_name)(size[3], **options)
        params = cell.init(jax.random.key(0), size[2])

        def loss(params, xs):
            return jnp.sum(lj.scan(cell, params, None, xs, backend=backend)[1] ** 2)

        return jitted(loss, params, jnp.asarray(inputs(size)), gradient)

    return make


def torch_lstm(size, gradient):
    """torch.nn.LSTM."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.LSTM(size[2], size[3])
    xs = torch.tensor(inputs(size), requires_grad=gradient)

    def run():
        if not gradient:
            with torch.no_grad():
                return (layer(xs)[0] ** 2).sum()
        layer.zero_grad()
        xs.grad = None
        (layer(xs)[0] ** 2).sum().backward()
        return xs.grad

    return run


def linen(size, gradient):
    """flax.linen.RNN around OptimizedLSTMCell."""
    import flax.linen as nn

    layer = nn.RNN(nn.OptimizedLSTMCell(size[3]), time_major=True)
    xs = jnp.asarray(inputs(size))
    params = layer.init(jax.random.key(0), xs)
    return jitted(lambda p, x: jnp.sum(layer.apply(p, x) ** 2), params, xs, gradient)


def nnx(size, gradient):
    """flax.nnx.RNN around OptimizedLSTMCell."""
    from flax import nnx

    layer = nnx.RNN(nnx.OptimizedLSTMCell(size[2], size[3], rngs=nnx.Rngs(0)), time_major=True)
    graph, state = nnx.split(layer)
    params, rest = nnx.split_state(state, nnx.Param, ...)

    def loss(params, xs):
        return jnp.sum(nnx.merge(graph, params, rest)(xs, rngs=nnx.Rngs(0)) ** 2)

    return jitted(loss, params, jnp.asarray(inputs(size)), gradient)


def haiku(size, gradient):
    """haiku.dynamic_unroll of hk.LSTM."""
    import haiku as hk

    def forward(xs):
        cell = hk.LSTM(size[3])
        return hk.dynamic_unroll(cell, xs, cell.initial_state(size[0]))[0]

    net, xs = hk.without_apply_rng(hk.transform(forward)), jnp.asarray(inputs(size))
    params = net.init(jax.random.key(0), xs)
    return jitted(lambda p, x: jnp.sum(net.apply(p, x) ** 2), params, xs, gradient)


def equinox(size, gradient):
    """jax.lax.scan over a vmapped equinox.nn.LSTMCell."""
    import equinox as eqx

    cell = eqx.nn.LSTMCell(size[2], size[3], key=jax.random.key(0))

    def loss(cell, xs):
        def step(carry, x):
            carry = jax.vmap(cell)(x, carry)
            return carry, carry[0]

        zeros = jnp.zeros((size[0], size[3]))
        return jnp.sum(jax.lax.scan(step, (zeros, zeros), xs)[1] ** 2)

    return jitted(loss, cell, jnp.asarray(inputs(size)), gradient)


def keras(size, gradient):
    """keras.layers.LSTM on jax, stateless."""
    import keras

    layer = keras.layers.LSTM(size[3], return_sequences=True)
    xs = jnp.asarray(inputs(size, batch_first=True))
    layer.build(xs.shape)
    params = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]
    return jitted(
        lambda p, x: jnp.sum(layer.stateless_call(p, rest, x)[0] ** 2), params, xs, gradient
    )


def floor(size, gradient):
    """One matrix product of the work of a forward pass (three of them with gradients)."""
    batch, time_, width, hidden = size
    xs = jnp.ones((time_ * batch, width + hidden))
    kernel = jnp.ones((width + hidden, 4 * hidden))

    def loss(kernel, xs):
        return jnp.sum(xs @ kernel)

    def product(kernel, xs):
        gates = xs @ kernel
        return xs.T @ gates, gates @ kernel.T

    call = jax.jit(product if gradient else loss)
    return lambda: jax.block_until_ready(call(kernel, xs))


PEERS = {"torch": torch_lstm, "linen": linen, "nnx": nnx, "haiku": haiku, "equinox": equinox}
PEERS |= {"keras": keras, "floor": floor}
OURS = {"deferred": ours("lstm", "deferred"), "reference": ours("lstm", "reference")}


def measure(contestants, sizes, gradient: bool, rounds: int) -> dict[str, list[float]]:
    """Median milliseconds of every contestant on every size."""
    times = {name: [[] for _ in sizes] for name in contestants}
    for i, size in enumerate(sizes):
        runs = {name: make(size, gradient) for name, make in contestants.items()}
        for run in runs.values():
            run()  # compiles
            run()
        for _ in range(rounds):
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                times[name][i].append((time.perf_counter() - began) * 1e3)
    return {name: [statistics.median(t) for t in found] for name, found in times.items()}


def table(found: dict[str, list[float]], sizes, base: str) -> str:
    """Markdown: milliseconds by size, and the geometric mean of the ratios to the base."""
    lines = [
        "| batch, time, input, hidden | " + " | ".join(found) + " |",
        "|---" * (len(found) + 1) + "|",
    ]
    for i, size in enumerate(sizes):
        cells = (f"{t[i]:.1f} ({t[i] / found[base][i]:.2f})" for t in found.values())
        lines.append(f"| {', '.join(map(str, size))} | " + " | ".join(cells) + " |")
    means = (np.exp(np.mean(np.log(np.divide(t, found[base])))) for t in found.values())
    lines.append(f"| geometric mean to {base} | " + " | ".join(f"{m:.2f}" for m in means) + " |")
    return "\n".join(lines)


def draw(results: dict[str, dict[str, list[float]]], sizes, base: str, path: Path) -> None:
    """Ratios to the base, a group of bars a size."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(results), 1, figsize=(11, 7), layout="constrained")
    for ax, (title, found) in zip(np.atleast_1d(axes), results.items(), strict=True):
        width = 0.8 / len(found)
        for k, (name, times) in enumerate(found.items()):
            ratios = np.divide(times, found[base])
            ax.bar(np.arange(len(sizes)) + k * width, ratios, width, label=name)
        ax.axhline(1, color="k", lw=0.8)
        ax.set_xticks(np.arange(len(sizes)) + 0.4, [", ".join(map(str, s)) for s in sizes])
        ax.set(title=title, ylabel=f"time / {base}", xlabel="batch, time, input, hidden")
    np.atleast_1d(axes)[0].legend(ncols=5, fontsize="small")
    figure.savefig(path, dpi=110)


def installed(names) -> dict[str, Contestant]:
    """The peers that can be imported."""
    found = {}
    for name in names:
        try:
            PEERS[name]((1, 2, 2, 2), False)()
            found[name] = PEERS[name]
        except ImportError as error:
            print(f"{name}: not installed ({error})")
    return found


def main() -> None:
    """Runs the benchmark, prints the tables, and keeps them with the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", default=",".join(map(str, range(len(SIZES)))))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--cells", default="", help="cells of ours to run beside the lstm")
    parser.add_argument("--out", default="layer_speed", help="name of the files under results/")
    options = parser.parse_args()
    sizes = [SIZES[int(i)] for i in options.sizes.split(",")]
    contestants = {**OURS, **installed([p for p in options.peers.split(",") if p])}
    for cell in filter(None, options.cells.split(",")):
        contestants[cell] = ours(cell, "auto")
    base = "torch" if "torch" in contestants else "deferred"
    results = {
        "value and gradient": measure(contestants, sizes, True, options.rounds),
        "forward": measure(contestants, sizes, False, options.rounds),
    }
    packages = ("jax", "flax", "torch", "dm-haiku", "equinox", "keras")
    versions = {p: _version(p) for p in packages}
    about = f"{datetime.date.today()}, {os.cpu_count()} cores, float32, {options.rounds} rounds"
    text = f"# One layer, milliseconds (ratio to {base})\n\n{about}; {json.dumps(versions)}\n"
    for title, found in results.items():
        text += f"\n## {title}\n\n{table(found, sizes, base)}\n"
    print(text)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{options.out}.md").write_text(text)
    draw(results, sizes, base, folder / f"{options.out}.png")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    main()
