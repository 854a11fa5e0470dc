"""What the training loop costs: over a bare step, at a checkpoint, and before the first step.

    python experiments/benchmarks/loop_cost.py
    python experiments/benchmarks/loop_cost.py --rounds=3

- Steps of the character model (configs/text/char_lm.py), in turns: a step as one writes it by hand
  (`jax.value_and_grad`, clipping, AdamW, buffers donated) in a `for` loop that reports nothing; the
  step of the training loop in the same `for` loop; and the training loop as users run it with all
  logging on: metrics.jsonl, TensorBoard, CSV and heartbeat, step times, norms of gradients and
  parameters, a report every 50 steps. Every other turn has a checkpoint, and ends when it is on
  disk. Evaluations are work that was asked for and are not timed, nor is compilation.
- The stall of a checkpoint: how long `Checkpoints.save` keeps the training waiting, with 10 million
  parameters and the two moments of Adam (120 MB).
- Start to first step of `lstm-jax train` in a fresh process, with compiled programs in the cache.

Takes some five minutes on two cores.
"""

import functools
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from options import parser
from report import header, markdown, save

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.tasks import Dataset
from lstm_jax.training import Console, Run, load_config, loop
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.session import Session, open_session
from lstm_jax.training.setup import set_up

CONFIG = Path(__file__).resolve().parents[2] / "configs/text/char_lm.py"
_TURN = 100  # steps: two reports
_HAND = "step written by hand, bare loop"
_STEP = "step of the training loop, bare loop"
_LOGGING = "training loop, all logging on"
_SAVING = "the same with a checkpoint in 100 steps"
Times = dict[str, list[float]]  # milliseconds a step by turn; NaN where it had none


def main() -> None:
    """Runs the benchmark, prints the tables and keeps them."""
    made = parser(__doc__ or "")
    made.set_defaults(rounds=20)
    options = made.parse_args()
    load = os.getloadavg()[0]
    use_compilation_cache()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        times = steps_in_turns(folder / "steps", options.rounds)
        stalls = checkpoint_stalls(folder / "stalls", options.rounds)
        starts = [start_to_first_step(folder / f"start{i}") for i in range(4)][1:]

    settings = {"settings": f"medians of {options.rounds} rounds, a turn is {_TURN} steps"}
    text = f"# Cost of the training loop\n\n{header(__file__, load, settings)}\n"
    text += f"{table(times)}\n\n"
    text += f"A checkpoint of 10 M parameters with Adam's moments stalls the training for {stalls}."
    seconds = ", ".join(f"{s:.1f}" for s in starts)
    text += f"\n\nStart to first step with compiled programs in the cache: {seconds} s.\n"
    save(text, options.out, "loop_cost")


def table(times: Times) -> str:
    """Milliseconds, and the ratio to the bare step within each round."""
    rows = [["", "ms a step", "ratio to the bare step, median", "middle half of the rounds"]]
    base = np.array(times[_HAND])
    for name, taken in times.items():
        low, middle, high = np.nanquantile(np.array(taken) / base, (0.25, 0.5, 0.75))
        spread = f"{low:.3f} to {high:.3f}"
        rows.append([name, f"{np.nanmedian(taken):.2f}", f"{middle:.3f}", spread])
    return markdown(rows)


def steps_in_turns(folder: Path, rounds: int) -> Times:
    """Steps of the training loop; between its turns, those of the bare loops.

    The loop runs in one piece, as for a user; its step hands the others their turns. A turn of the
    loop ends when its checkpoint is on disk, so that nothing of it is left to others.
    """
    run = Run.open(folder, configured((rounds + 3) * _TURN))
    others = {_HAND: by_hand(run), _STEP: own_step(run)}
    times: Times = {name: [] for name in (*others, _LOGGING, _SAVING)}

    def open_in_turns(*arguments: Any) -> Session:
        session = open_session(*arguments)
        step, began = session.setup.train_step, 0.0

        def in_turns(state: Any, batch: Any) -> Any:
            nonlocal began
            if session.step % _TURN == 0 and session.step <= (rounds + 2) * _TURN:
                jax.block_until_ready(state)
                session.checkpoints.steps()
                if session.step > 2 * _TURN:  # the second turn holds the first save
                    taken = (time.perf_counter() - began) / _TURN * 1e3
                    saved = session.step % (2 * _TURN) == 0
                    times[_LOGGING].append(math.nan if saved else taken)
                    times[_SAVING].append(taken if saved else math.nan)
                    for name, turn in others.items():
                        times[name].append(turn())
                began = time.perf_counter()
            return step(state, batch)

        session.setup = session.setup._replace(train_step=in_turns)
        return session

    with mock.patch.object(loop, "open_session", open_in_turns):
        loop.train(run, Console())
    return times


def configured(steps: int) -> Any:
    """The character model with all logging, and no evaluation inside what is timed."""
    overrides = {
        "train.duration": f"{steps} steps",
        "train.evaluate_every": f"{steps} steps",
        "train.report_every": "50 steps",
        "train.checkpoint_every": f"{2 * _TURN} steps",
        "train.writers": "tensorboard,csv",
        "sample.length": 0,
        "data.baselines": False,
    }
    return load_config(str(CONFIG), [f"{name}={value}" for name, value in overrides.items()])


def by_hand(run: Run) -> Callable[[], float]:
    """The step that one writes without a framework."""
    learner, dataset = run.experiment.prepare(run.assets)
    rate = optax.warmup_cosine_decay_schedule(0.0, 8e-3, 100, 2000)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.99, weight_decay=0.0)
    )

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, batch: Any) -> Any:
        count, params, opt_state, carry, key = state

        def loss(params: Any) -> Any:
            dropout = jax.random.fold_in(key, count)
            value, carry_after, _ = learner.loss(params, carry, batch, dropout)
            return value, carry_after

        (_, carry), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return count + 1, optax.apply_updates(params, updates), opt_state, carry, key

    @jax.jit
    def first() -> Any:
        params = learner.init(jax.random.key(0))
        carry = learner.initial_carry(params, dataset.batch_size)
        return jnp.int32(0), params, optimizer.init(params), carry, jax.random.key(1)

    return bare_loop(step, first(), itertools.cycle(batches(dataset)))


def own_step(run: Run) -> Callable[[], float]:
    """The step of the training loop, with what it looks after, and nothing around it."""
    setup = set_up(run.experiment, run.assets)

    def step(state: Any, batch: Any) -> Any:
        return setup.train_step(state, setup.place.put(batch, setup.dataset.batch_size))

    return bare_loop(step, setup.first_state(), itertools.cycle(batches(setup.dataset)))


def bare_loop(step: Any, state: Any, data: Iterator[Any]) -> Callable[[], float]:
    """A turn of nothing but steps: milliseconds a step."""
    state = jax.block_until_ready(step(state, next(data)))

    def turn() -> float:
        nonlocal state
        began = time.perf_counter()
        for _ in range(_TURN):
            state = step(state, next(data))
        jax.block_until_ready(state)
        return (time.perf_counter() - began) / _TURN * 1e3

    return turn


def batches(dataset: Dataset) -> list[Any]:
    """All batches of an epoch, in memory."""
    return [dataset.train[i] for i in range(len(dataset.train))]


def checkpoint_stalls(folder: Path, rounds: int) -> str:
    """How long a save keeps its caller, with the save before it on disk."""
    noise = jax.random.normal(jax.random.key(0), (10, 1000, 1000))
    params = {f"w{i}": noise[i] for i in range(10)}
    training = {"step": jnp.int32(0), "mu": params, "nu": params}
    checkpoints, stalls = Checkpoints(folder), []
    for step in range(1, rounds + 4):
        trees = jax.block_until_ready(jax.tree.map(jnp.copy, (params, training)))
        began = time.perf_counter()
        checkpoints.save(step, {"params": trees[0], "training": trees[1]}, {}, None)
        stalls.append((time.perf_counter() - began) * 1e3)
        checkpoints.wait()
    checkpoints.close()
    warm = sorted(stalls[1:])  # the first one imports Orbax
    return f"{statistics.median(warm):.0f} ms (median; {warm[0]:.0f} to {warm[-1]:.0f})"


def start_to_first_step(folder: Path) -> float:
    """Seconds from the start of the process until its first step is done."""
    command = [sys.executable, "-m", "lstm_jax.cli.main", "train", f"--config={CONFIG}"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, f"--workdir={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "did the first step" in line:
            taken = time.perf_counter() - began
            process.kill()
            process.wait()
            return taken
    raise RuntimeError(f"the run ended before its first step, with exit code {process.wait()}")


if __name__ == "__main__":
    main()
