"""What a recurrent layer costs at one length of the sequence: time, memory, compilation."""

import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax as lj

BATCH, WIDTH = 4, 64
WINDOW = 256  # steps of a window
WAYS = ("none", "sqrt", "windows")
COMPILATIONS = 3


class Program(NamedTuple):
    """Value and gradient in the parameters; the loss is of the "last" or of "every" output.

    The way is a remat of `scan`, or "windows" for truncated back-propagation: the gradients of
    windows of 256 steps, each of which starts from the carry that the one before left, added up.
    There the last output is that of every window.
    """

    length: int
    way: str
    loss: str = "last"


class Costs(NamedTuple):
    """Of a program.

    Attributes:
      time: milliseconds of a run.
      memory: MB beside arguments and results.
      every: the same with a loss of every output.
      compilation: seconds to trace and compile.
    """

    time: float
    memory: float
    every: float
    compilation: float


def compiled(program: Program) -> tuple[Any, Any, float]:
    """The compiled program, its arguments, and the seconds to trace and compile it."""
    cell = lj.lstm(WIDTH)
    params = cell.init(jax.random.key(0), WIDTH)
    xs = np.random.default_rng(0).normal(size=(program.length, BATCH, WIDTH))
    arguments = jax.block_until_ready((params, jnp.asarray(xs, "float32")))

    remat: Any = "none" if program.way == "windows" else program.way

    def loss(params, xs, carry=None):
        carry, ys = lj.scan(cell, params, carry, xs, remat=remat)
        return jnp.sum((carry.hidden if program.loss == "last" else ys) ** 2), carry

    def windows(params, xs):
        def step(state, part):
            (value, carry), gradients = graded(params, part, state[0])
            return (carry, jax.tree.map(jnp.add, state[1], (value, gradients))), None

        parts = xs.reshape(-1, min(WINDOW, program.length), *xs.shape[1:])
        start = (
            cell.initial_carry(params, (BATCH,)),
            (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)),
        )
        return jax.lax.scan(step, start, parts)[0][1]

    graded = jax.value_and_grad(loss, has_aux=True)
    began = time.perf_counter()
    call = jax.jit(windows if program.way == "windows" else graded).lower(*arguments).compile()
    return call, arguments, time.perf_counter() - began


def measure(lengths: Iterable[int], rounds: int) -> dict[Program, Costs]:
    """The costs of every length, the ways of a length in turns."""
    compiled(Program(2, "none"))  # the compiler's own start is no program's
    found = {}
    for length in lengths:
        programs = [Program(length, way) for way in WAYS]
        compilations = {p: _compilation(p) for p in programs}
        calls = {p: compiled(p)[:2] for p in programs}
        times = {p: [] for p in programs}
        for _ in range(rounds + 1):
            for program, (call, arguments) in calls.items():
                times[program].append(_milliseconds(call, arguments))
        for program, (call, _) in calls.items():
            took = statistics.median(times[program][1:])  # the first touches its memory anew
            every = _temporary(compiled(program._replace(loss="every"))[0])
            found[program] = Costs(took, _temporary(call), every, compilations[program])
    return found


def _compilation(program: Program) -> float:
    return statistics.median(compiled(program)[2] for _ in range(COMPILATIONS))


def _milliseconds(call: Any, arguments: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call(*arguments))
    return (time.perf_counter() - began) * 1e3


def _temporary(call: Any) -> float:
    return call.memory_analysis().temp_size_in_bytes / 1e6


def resident(programs: Sequence[Program]) -> dict[Program, float]:
    """`peak_growth` of each, in a fresh process each; of none where it cannot be known."""
    if jax.default_backend() != "cpu" or not sys.platform.startswith("linux"):
        return {}
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return dict(zip(programs, pool.map(peak_growth, programs), strict=True))


def peak_growth(program: Program) -> float:
    """MB by which the peak of resident memory grows while the program runs once (Linux)."""
    short, arguments, _ = compiled(program._replace(length=2))
    jax.block_until_ready(short(*arguments))  # the runtime's own start is no program's
    call, arguments, _ = compiled(program)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = _peak()
    jax.block_until_ready(call(*arguments))
    return _peak() - before


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
