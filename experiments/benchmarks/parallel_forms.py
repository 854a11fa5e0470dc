"""Cells with a parallel form: every backend that can run them, in one interleaved run.

    python experiments/benchmarks/parallel_forms.py
    python experiments/benchmarks/parallel_forms.py --cells=min_lstm --sizes=0,5 --rounds=15

Compared are those of `reference`, `deferred` and `parallel` that can run a cell; `deferred` runs
none of these five, which declare no recurrent product. Every round runs every backend once on every
size, so that a busy moment of the machine hits all alike; reported are medians over the rounds, and
ratios to the reference. From this table `lstm_jax.kernels.parallel` knows where "auto" shall leave
a parallel form out. Run it on a new kind of machine before a rule for that machine is written.
"""

import argparse
import datetime
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

import lstm_jax as lj
from lstm_jax.config import find

CELLS = ("min_lstm", "min_gru", "qrnn", "sru", "mlstm")
BACKENDS = ("reference", "deferred", "parallel")
SIZES = [  # batch, time, input, hidden; by examples a batch to numbers an input
    (1, 512, 64, 64),
    (20, 35, 640, 640),
    (16, 256, 128, 128),
    (32, 100, 256, 256),
    (64, 64, 512, 512),
    (32, 128, 64, 64),
    (128, 128, 128, 128),
    (64, 128, 32, 64),
    (256, 64, 128, 128),
    (256, 128, 32, 64),
]
Size = tuple[int, int, int, int]


def make(cell: lj.Cell, size: Size, backend: str, gradient: bool) -> Callable[[], object]:
    """A call that computes the loss, or it and its gradients in parameters and inputs."""
    batch, time_, width, _ = size
    params = cell.init(jax.random.key(0), width)
    xs = jax.random.normal(jax.random.key(1), (time_, batch, width))

    def loss(params, xs):
        return jnp.sum(lj.scan(cell, params, None, xs, backend=backend)[1] ** 2)

    call = jax.jit(jax.value_and_grad(loss, (0, 1)) if gradient else loss)
    return lambda: jax.block_until_ready(call(params, xs))


def serving(cell: lj.Cell, size: Size) -> list[str]:
    """The backends that can run the cell."""
    xs, found = jax.ShapeDtypeStruct((size[1], size[0], size[2]), jnp.float32), []
    for backend in BACKENDS:
        try:
            lj.explain(cell, xs, backend=backend)
        except ValueError:
            continue
        found.append(backend)
    return found


def measure(cell: lj.Cell, size: Size, gradient: bool, rounds: int) -> dict[str, float]:
    """Median milliseconds of every backend."""
    runs = {backend: make(cell, size, backend, gradient) for backend in serving(cell, size)}
    times: dict[str, list[float]] = {backend: [] for backend in runs}
    for run in runs.values():
        run()  # compiles
        run()
    for _ in range(rounds):
        for backend, run in runs.items():
            began = time.perf_counter()
            run()
            times[backend].append((time.perf_counter() - began) * 1e3)
    return {backend: statistics.median(found) for backend, found in times.items()}


def table(name: str, sizes: list[Size], gradient: bool, rounds: int) -> str:
    """Markdown: milliseconds by size, the ratio to the reference, and what auto takes."""
    lines = []
    for size in sizes:
        cell = find("cell", name)(size[3])
        found = measure(cell, size, gradient, rounds)
        if not lines:
            lines.append(f"| batch, time, input, hidden | {' | '.join(found)} | auto takes |")
            lines.append("|---" * (len(found) + 2) + "|")
        cells = [f"{t:.1f} ({t / found['reference']:.2f})" for t in found.values()]
        xs = jax.ShapeDtypeStruct((size[1], size[0], size[2]), jnp.float32)
        row = [", ".join(map(str, size)), *cells, lj.explain(cell, xs).name]
        lines.append("| " + " | ".join(row) + " |")
        print(name, lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark and keeps its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", default=",".join(map(str, range(len(SIZES)))))
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--forward", action="store_true", help="without gradients")
    parser.add_argument("--out", default="parallel_forms", help="name of the file under results/")
    options = parser.parse_args()
    sizes = [SIZES[int(i)] for i in options.sizes.split(",")]
    what = "forward" if options.forward else "value and gradient"
    device = jax.devices()[0].device_kind
    text = (
        f"# Parallel forms, milliseconds (ratio to the reference), {what}\n\n"
        f"{datetime.date.today()}, {os.cpu_count()} cores, {device}, float32, "
        f"{options.rounds} rounds, jax {jax.__version__}\n"
    )
    for name in options.cells.split(","):
        text += f"\n## {name}\n\n{table(name, sizes, not options.forward, options.rounds)}\n"
    path = Path(__file__).parent / "results" / f"{options.out}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
